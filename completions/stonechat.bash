# bash completion for stonechat: source this file, or install it as /usr/share/bash-completion/completions/stonechat.
_stonechat() {
  local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]} flags=
  local commands="pull run chat inspect convert calibrate stats sensitivity quantize pack bench tune eval report tokenize"
  local models="qwen2.5-coder-0.5b smollm2-135m qwen2.5-0.5b qwen2.5-0.5b-instruct"
  local sampling="--max-tokens --greedy --temperature --top-k --top-p --min-p --typical --repeat-penalty
    --presence-penalty --frequency-penalty --repeat-last-n --seed --stop --threads --context --batch
    --cache-type-k --cache-type-v --no-tune --json"
  if [[ $COMP_CWORD -eq 1 ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands --help --version" -- "$word")
    return
  fi
  case $command in
    pull) flags="--to --list" ;;
    run) flags="$sampling --file --ignore-eos --special --stats --memory --dry-run" ;;
    chat) flags="$sampling --system --load" ;;
    inspect) flags="--tensors --json" ;;
    convert) flags="--to --tie-embeddings --threads" ;;
    calibrate) flags="--text --output --chunks --context --format --batch --threads --no-tune" ;;
    stats) flags="--html --json" ;;
    sensitivity) flags="--scheme --text --chunks --context --by --html --threads --no-tune --json" ;;
    quantize) flags="--type --plan --type-for --range --target-kl --budget-mib --better --text --context --windows
      --save-plan --dry-run --threads" ;;
    pack) flags="--isa --threads" ;;
    bench) flags="--model --n-prompt --n-gen --pg --n-depth --batch-size --ubatch-size --threads --repetitions
      --cache-type-k --cache-type-v --output --no-warmup --parallel --roofline --profile --memory --dry-run --no-tune" ;;
    tune) flags="--quick --json" ;;
    eval) flags="ppl kl arc_c arc_easy hellaswag piqa winogrande ceval task --data --task --subject --shots --shots-file --limit --seed
      --samples-out --results --fresh --no-share --text --against
      --cache-type-k --cache-type-v --against-cache-type-k --against-cache-type-v --context --windows --threads --no-tune --json
      --memory --dry-run" ;;
    report) flags="compare --quick --output --types --rounds --text --context --windows --data --limit --only --redo --fresh
      --models --dry-run" ;;
    tokenize) flags="--file --special --ids --json --detokenize" ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$flags --help $models" -- "$word"; compgen -f -- "$word")
}
complete -o filenames -F _stonechat stonechat
