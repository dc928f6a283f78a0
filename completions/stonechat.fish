# fish completion for stonechat: put this file into ~/.config/fish/completions/.
set -l commands pull run chat inspect convert calibrate stats sensitivity quantize pack bench tune eval report tokenize
complete -c stonechat -n "not __fish_seen_subcommand_from $commands" -f
complete -c stonechat -n "not __fish_seen_subcommand_from $commands" -a pull -d "Fetch a model and print its path"
complete -c stonechat -n "not __fish_seen_subcommand_from $commands" -a run -d "Complete a text"
complete -c stonechat -n "not __fish_seen_subcommand_from $commands" -a chat -d "Talk with a model"
complete -c stonechat -n "not __fish_seen_subcommand_from $commands" -a inspect -d "Show what is in a GGUF file"
complete -c stonechat -n "not __fish_seen_subcommand_from $commands" -a convert -d "Write a model as F32, F16 or BF16"
complete -c stonechat -n "not __fish_seen_subcommand_from $commands" -a calibrate -d "Measure activations and weights on a text"
complete -c stonechat -n "not __fish_seen_subcommand_from $commands" -a stats -d "Show what calibrate measured"
complete -c stonechat -n "not __fish_seen_subcommand_from $commands" -a sensitivity -d "Measure what quantizing each tensor costs"
complete -c stonechat -n "not __fish_seen_subcommand_from $commands" -a quantize -d "Write a model in 8 or 4 bits"
complete -c stonechat -n "not __fish_seen_subcommand_from $commands" -a pack -d "Write a model as this processor wants it"
complete -c stonechat -n "not __fish_seen_subcommand_from $commands" -a bench -d "Measure tokens per second"
complete -c stonechat -n "not __fish_seen_subcommand_from $commands" -a eval -d "Measure quality"
complete -c stonechat -n "not __fish_seen_subcommand_from $commands" -a report -d "Measure a model in several types, all in one report"
complete -c stonechat -n "not __fish_seen_subcommand_from $commands" -a tune -d "Measure how models run fastest here"
complete -c stonechat -n "not __fish_seen_subcommand_from $commands" -a tokenize -d "Show tokens"
complete -c stonechat -n "__fish_seen_subcommand_from $commands" -a "qwen2.5-coder-0.5b smollm2-135m"
complete -c stonechat -n "__fish_seen_subcommand_from run chat convert calibrate sensitivity quantize pack bench eval" -s t -l threads -x
complete -c stonechat -n "__fish_seen_subcommand_from run chat calibrate sensitivity eval" -s c -l context -x
complete -c stonechat -n "__fish_seen_subcommand_from run chat calibrate" -s b -l batch -x
complete -c stonechat -n "__fish_seen_subcommand_from run chat" -s n -l max-tokens -x
complete -c stonechat -n "__fish_seen_subcommand_from run chat" -l greedy
complete -c stonechat -n "__fish_seen_subcommand_from run chat" -l temperature -x
complete -c stonechat -n "__fish_seen_subcommand_from run chat" -l top-k -x
complete -c stonechat -n "__fish_seen_subcommand_from run chat" -l top-p -x
complete -c stonechat -n "__fish_seen_subcommand_from run chat" -l min-p -x
complete -c stonechat -n "__fish_seen_subcommand_from run chat" -l typical -x
complete -c stonechat -n "__fish_seen_subcommand_from run chat" -l repeat-penalty -x
complete -c stonechat -n "__fish_seen_subcommand_from run chat" -l presence-penalty -x
complete -c stonechat -n "__fish_seen_subcommand_from run chat" -l frequency-penalty -x
complete -c stonechat -n "__fish_seen_subcommand_from run chat" -l repeat-last-n -x
complete -c stonechat -n "__fish_seen_subcommand_from run chat" -s s -l seed -x
complete -c stonechat -n "__fish_seen_subcommand_from run chat" -l stop -x
complete -c stonechat -n "__fish_seen_subcommand_from run chat inspect stats sensitivity tune eval tokenize" -l json
complete -c stonechat -n "__fish_seen_subcommand_from run tokenize" -s f -l file -r
complete -c stonechat -n "__fish_seen_subcommand_from run tokenize" -l special
complete -c stonechat -n "__fish_seen_subcommand_from run" -l ignore-eos
complete -c stonechat -n "__fish_seen_subcommand_from run" -l stats
complete -c stonechat -n "__fish_seen_subcommand_from chat" -l system -x
complete -c stonechat -n "__fish_seen_subcommand_from chat" -l load -r
complete -c stonechat -n "__fish_seen_subcommand_from inspect" -l tensors
complete -c stonechat -n "__fish_seen_subcommand_from run chat calibrate sensitivity bench eval" -l no-tune
complete -c stonechat -n "__fish_seen_subcommand_from tune" -l quick
complete -c stonechat -n "__fish_seen_subcommand_from convert" -l to -x -a "f32 f16 bf16"
complete -c stonechat -n "__fish_seen_subcommand_from convert" -l tie-embeddings
complete -c stonechat -n "__fish_seen_subcommand_from calibrate" -s o -l output -r
complete -c stonechat -n "__fish_seen_subcommand_from calibrate sensitivity" -l chunks -x
complete -c stonechat -n "__fish_seen_subcommand_from calibrate" -l format -x -a "stats imatrix"
complete -c stonechat -n "__fish_seen_subcommand_from stats sensitivity" -l html -r
complete -c stonechat -n "__fish_seen_subcommand_from sensitivity" -l scheme -x -a "q8_0 q8_t q8_m q8_r q4_0"
complete -c stonechat -n "__fish_seen_subcommand_from sensitivity" -l by -x -a "kind layer tensor"
complete -c stonechat -n "__fish_seen_subcommand_from quantize" -l type -x -a "q8_0 q8_t q8_m q8_r q4_0 bf16 f16 f32"
complete -c stonechat -n "__fish_seen_subcommand_from quantize" -l plan -r
complete -c stonechat -n "__fish_seen_subcommand_from quantize" -l type-for -x
complete -c stonechat -n "__fish_seen_subcommand_from quantize" -l range -x -a best
complete -c stonechat -n "__fish_seen_subcommand_from quantize" -l target-kl -x
complete -c stonechat -n "__fish_seen_subcommand_from quantize" -l budget-mib -x
complete -c stonechat -n "__fish_seen_subcommand_from quantize" -l better -x -a "q8_0 q8_r bf16 f16 f32"
complete -c stonechat -n "__fish_seen_subcommand_from quantize" -l text -r
complete -c stonechat -n "__fish_seen_subcommand_from quantize" -l context -x
complete -c stonechat -n "__fish_seen_subcommand_from quantize" -l windows -x
complete -c stonechat -n "__fish_seen_subcommand_from quantize" -l save-plan -r
complete -c stonechat -n "__fish_seen_subcommand_from quantize" -l dry-run
complete -c stonechat -n "__fish_seen_subcommand_from pack" -l isa -x -a "scalar avx2 avx_vnni avx512_vnni amx neon neon_dotprod neon_i8mm"
complete -c stonechat -n "__fish_seen_subcommand_from bench" -s m -l model -r
complete -c stonechat -n "__fish_seen_subcommand_from bench" -s p -l n-prompt -x
complete -c stonechat -n "__fish_seen_subcommand_from bench" -s n -l n-gen -x
complete -c stonechat -n "__fish_seen_subcommand_from bench" -l pg -x
complete -c stonechat -n "__fish_seen_subcommand_from bench" -s d -l n-depth -x
complete -c stonechat -n "__fish_seen_subcommand_from bench" -s b -l batch-size -x
complete -c stonechat -n "__fish_seen_subcommand_from bench" -s u -l ubatch-size -x
complete -c stonechat -n "__fish_seen_subcommand_from bench" -s r -l repetitions -x
complete -c stonechat -n "__fish_seen_subcommand_from run chat bench eval" -l cache-type-k -x -a "f32 f16 q16 q8_0"
complete -c stonechat -n "__fish_seen_subcommand_from run chat bench eval" -l cache-type-v -x -a "f32 f16 q16 q8_0"
complete -c stonechat -n "__fish_seen_subcommand_from bench" -s o -l output -x -a "md json jsonl csv"
complete -c stonechat -n "__fish_seen_subcommand_from bench" -l no-warmup
complete -c stonechat -n "__fish_seen_subcommand_from bench" -l parallel -x
complete -c stonechat -n "__fish_seen_subcommand_from bench" -l roofline -d "Measure the limits of the machine too"
complete -c stonechat -n "__fish_seen_subcommand_from bench" -l profile -d "Show where time goes"
complete -c stonechat -n "__fish_seen_subcommand_from run bench eval" -l memory -d "Measure memory"
complete -c stonechat -n "__fish_seen_subcommand_from run bench eval" -l dry-run -d "Predict memory"
complete -c stonechat -n "__fish_seen_subcommand_from eval" -a "ppl kl arc_c arc_easy hellaswag piqa winogrande ceval task"
complete -c stonechat -n "__fish_seen_subcommand_from calibrate sensitivity eval" -l text -r
complete -c stonechat -n "__fish_seen_subcommand_from eval" -l against -r
complete -c stonechat -n "__fish_seen_subcommand_from eval" -l against-cache-type-k -x -a "f32 f16 q16 q8_0"
complete -c stonechat -n "__fish_seen_subcommand_from eval" -l against-cache-type-v -x -a "f32 f16 q16 q8_0"
complete -c stonechat -n "__fish_seen_subcommand_from eval" -l windows -x
complete -c stonechat -n "__fish_seen_subcommand_from eval" -l data -r
complete -c stonechat -n "__fish_seen_subcommand_from eval" -l shots -x
complete -c stonechat -n "__fish_seen_subcommand_from eval" -l limit -x
complete -c stonechat -n "__fish_seen_subcommand_from eval" -l seed -x
complete -c stonechat -n "__fish_seen_subcommand_from eval" -l samples-out -r
complete -c stonechat -n "__fish_seen_subcommand_from eval" -l shots-file -r
complete -c stonechat -n "__fish_seen_subcommand_from eval" -l task -r
complete -c stonechat -n "__fish_seen_subcommand_from eval" -l subject -x
complete -c stonechat -n "__fish_seen_subcommand_from eval" -l results -r
complete -c stonechat -n "__fish_seen_subcommand_from eval" -l fresh
complete -c stonechat -n "__fish_seen_subcommand_from eval" -l no-share
complete -c stonechat -n "__fish_seen_subcommand_from tokenize" -l ids
complete -c stonechat -n "__fish_seen_subcommand_from tokenize" -l detokenize
complete -c stonechat -n "__fish_seen_subcommand_from pull" -l list
complete -c stonechat -n "__fish_seen_subcommand_from pull" -l to -r
complete -c stonechat -n "__fish_seen_subcommand_from report" -a compare
complete -c stonechat -n "__fish_seen_subcommand_from report" -l quick
complete -c stonechat -n "__fish_seen_subcommand_from report" -s o -l output -r
complete -c stonechat -n "__fish_seen_subcommand_from report" -l types -x -a "q8_0 q8_t q8_m q8_r q4_0"
complete -c stonechat -n "__fish_seen_subcommand_from report" -l rounds -x
complete -c stonechat -n "__fish_seen_subcommand_from report" -l text -r
complete -c stonechat -n "__fish_seen_subcommand_from report" -s c -l context -x
complete -c stonechat -n "__fish_seen_subcommand_from report" -l windows -x
complete -c stonechat -n "__fish_seen_subcommand_from report" -l data -r
complete -c stonechat -n "__fish_seen_subcommand_from report" -l limit -x
complete -c stonechat -n "__fish_seen_subcommand_from report" -l only -x -a "limits speed memory text tasks"
complete -c stonechat -n "__fish_seen_subcommand_from report" -l redo -x -a "limits speed memory text tasks"
complete -c stonechat -n "__fish_seen_subcommand_from report" -l fresh
complete -c stonechat -n "__fish_seen_subcommand_from report" -l models -r
complete -c stonechat -n "__fish_seen_subcommand_from report" -l dry-run
