#compdef stonechat
# zsh completion for stonechat: put this file as _stonechat into a directory of $fpath.
local -a commands=(
  'pull:fetch a model and print its path'
  'run:complete a text'
  'chat:talk with a model'
  'inspect:show what is in a GGUF file'
  'convert:write a model as F32, F16 or BF16'
  'calibrate:measure activations and weights on a text'
  'stats:show what calibrate measured'
  'sensitivity:measure what quantizing each tensor costs'
  'quantize:write a model in 8 or 4 bits'
  'pack:write a model as this processor wants it'
  'bench:measure tokens per second'
  'tune:measure how models run fastest here'
  'eval:measure quality'
  'report:measure a model in several types, all in one report'
  'tokenize:show tokens'
)
local -a sampling=(
  {-n,--max-tokens}'[most tokens to generate]:tokens' '--greedy[take the most probable token]'
  --temperature:temperature --top-k:count --top-p:share --min-p:share --typical:share --repeat-penalty:factor
  --presence-penalty:number --frequency-penalty:number --repeat-last-n:tokens {-s,--seed}:seed '*--stop:text'
  {-t,--threads}:threads {-c,--context}:tokens {-b,--batch}:tokens
  '--cache-type-k:type:(f32 f16 q16 q8_0)' '--cache-type-v:type:(f32 f16 q16 q8_0)' --no-tune --json
)
local model='1:model:{_files -g "*.gguf"; compadd qwen2.5-coder-0.5b smollm2-135m}'
if (( CURRENT == 2 )); then
  _describe command commands
  return
fi
shift words
(( CURRENT-- ))
case $words[1] in
  pull) _arguments '1:name:(qwen2.5-coder-0.5b smollm2-135m qwen2.5-0.5b qwen2.5-0.5b-instruct)' '--to:directory:_files -/' --list ;;
  run) _arguments $model '2:prompt' {-f,--file}':prompt:_files' --ignore-eos --special --stats --memory --dry-run $sampling ;;
  chat) _arguments $model --system:text '--load:conversation:_files' $sampling ;;
  inspect) _arguments $model --tensors --json ;;
  convert) _arguments $model '2:output:_files' '--to:type:(f32 f16 bf16)' --tie-embeddings {-t,--threads}:threads ;;
  calibrate) _arguments $model '--text:text:_files' {-o,--output}':output:_files' --chunks:count {-c,--context}:tokens \
    '--format:format:(stats imatrix)' {-b,--batch}:tokens {-t,--threads}:threads --no-tune ;;
  stats) _arguments '1:statistics:_files' '--html:page:_files' --json ;;
  sensitivity) _arguments $model '--scheme:scheme:(q8_0 q8_t q8_m q8_r q4_0)' '--text:text:_files' --chunks:count \
    {-c,--context}:tokens '--by:unit:(kind layer tensor)' '--html:page:_files' {-t,--threads}:threads --no-tune --json ;;
  quantize) _arguments $model '2:output:_files' '--type:type:(q8_0 q8_t q8_m q8_r q4_0 bf16 f16 f32)' '--plan:plan:_files' '*--type-for:pattern and type' \
    '--range:deviations:(best)' --target-kl:nats --budget-mib:MiB '--better:type:(q8_0 q8_r bf16 f16 f32)' '--text:text:_files' \
    --context:tokens --windows:count '--save-plan:plan:_files' --dry-run {-t,--threads}:threads ;;
  pack) _arguments $model '2:output:_files' '--isa:kernels:(scalar avx2 avx_vnni avx512_vnni amx neon neon_dotprod neon_i8mm)' \
    {-t,--threads}:threads ;;
  bench) _arguments {-m,--model}':model:_files' {-p,--n-prompt}:tokens {-n,--n-gen}:tokens --pg:pair {-d,--n-depth}:tokens \
    {-b,--batch-size}:tokens {-u,--ubatch-size}:tokens {-t,--threads}:threads {-r,--repetitions}:count \
    '--cache-type-k:type:(f32 f16 q16 q8_0)' '--cache-type-v:type:(f32 f16 q16 q8_0)' \
    {-o,--output}':format:(md json jsonl csv)' --no-warmup --parallel:sequences --no-tune \
    '--roofline[measure the limits of the machine too]' '--profile[show where time goes]' '--memory[measure memory]' \
    '--dry-run[predict memory]' ;;
  tune) _arguments $model --quick --json ;;
  eval) _arguments '1:measure:(ppl kl arc_c arc_easy hellaswag piqa winogrande ceval task)' '2:model:_files' \
    '--text:text:_files' '--against:reference:_files' \
    '--cache-type-k:type:(f32 f16 q16 q8_0)' '--cache-type-v:type:(f32 f16 q16 q8_0)' \
    '--against-cache-type-k:type:(f32 f16 q16 q8_0)' '--against-cache-type-v:type:(f32 f16 q16 q8_0)' \
    '--data:questions:_files' '--task:task:_files' '*--subject:subject' --shots:count '--shots-file:questions:_files' \
    --limit:count --seed:seed '--samples-out:answers:_files' '--results:answers kept:_files' --fresh --no-share \
    {-c,--context}:tokens --windows:count {-t,--threads}:threads --no-tune --json '--memory[measure memory]' \
    '--dry-run[predict memory]' ;;
  report) _arguments '1:model:{_files -g "*.gguf"; compadd compare qwen2.5-coder-0.5b smollm2-135m}' '*:report:_files' \
    '--quick[in minutes]' {-o,--output}':directory:_files -/' '--types:types:(q8_0 q8_t q8_m q8_r q4_0)' \
    --rounds:count '--text:text:_files' {-c,--context}:tokens --windows:count '--data:directory:_files -/' --limit:count \
    '*--only:part:(limits speed memory text tasks)' '*--redo:part:(limits speed memory text tasks)' \
    '--fresh[forget all results]' '--models:directory:_files -/' --dry-run ;;
  tokenize) _arguments $model '2:text' {-f,--file}':text:_files' --special --ids --json --detokenize ;;
esac
