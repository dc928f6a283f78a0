# The daily commands. `make` alone lists them.
.PHONY: help build install test demo arm-cycles lint format clean

help: ## List the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

build: ## Build the program: build/release/stonechat
	@tools/setup build
	cmake --preset release -DSTONECHAT_TESTS=OFF
	cmake --build --preset release

install: build ## Install it with its completions below PREFIX (/usr/local)
	cmake --install build/release --prefix $(or $(PREFIX),/usr/local)

test: ## Build and run every test
	@tools/test

demo: ## From nothing to an answering 8-bit model, with a table of what it cost
	@tools/demo

arm-cycles: ## Estimate what the Arm kernels and the model cost on a Neoverse N2, without one
	@tools/arm_cycles

lint: ## Check format, clang-tidy, shell scripts and the folders' dependencies
	@tools/lint

format: ## Format all sources
	@git ls-files '*.h' '*.cc' | xargs clang-format -i

clean: ## Remove build/
	rm -rf build
