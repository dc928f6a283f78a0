#include "report/html_page.h"

#include <fmt/format.h>

#include "report/svg_chart.h"

namespace stonechat {
namespace {

// Classes r0 .. r3 are one hue in four strengths, for what has an order; c0 .. c5 are different hues.
constexpr const char* kStyle = R"(<style>
:root { color-scheme: light dark; --page: #fbfbfa; --panel: #ffffff; --text: #1d1f21; --soft: #5c6166; --line: #dddfe2;
  --r0: #9cc4ea; --r1: #5b9bd8; --r2: #2468ab; --r3: #0b2f57; --limit: #b3261e;
  --c0: #1f66b0; --c1: #bd4f12; --c2: #207a44; --c3: #8440ad; --c4: #8a6d00; --c5: #b0206e; }
@media screen and (prefers-color-scheme: dark) { :root { --page: #16181a; --panel: #1e2124; --text: #e8eaec; --soft: #a5abb1;
  --line: #383c41; --r0: #2f5f92; --r1: #4f8fcf; --r2: #85b9ee; --r3: #d3e7fb; --limit: #ff8a80;
  --c0: #6fb0f5; --c1: #f59a5c; --c2: #5fcb88; --c3: #c897ef; --c4: #d8bd45; --c5: #f285b8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 16px; max-width: 1280px; background: var(--page); color: var(--text); overflow-wrap: anywhere;
  font: 15px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0.2em 0; } h2 { font-size: 1.15rem; margin: 1.8em 0 0.2em; }
h3 { font-size: 0.95rem; margin: 1.2em 0 0.3em; }
p { margin: 0.3em 0 0.8em; max-width: 75ch; } .soft, figcaption .soft { color: var(--soft); }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 220px), 1fr)); gap: 10px; margin: 14px 0; }
.facts div { background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 8px 12px; }
.facts b { display: block; font-size: 1.35rem; font-weight: 600; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 340px), 1fr)); gap: 12px;
  margin-bottom: 14px; }
figure { margin: 0; background: var(--panel); border: 1px solid var(--line); border-radius: 8px; padding: 8px 10px 4px; }
figcaption { font-weight: 600; font-size: 0.92rem; } figure svg { width: 100%; height: auto; display: block; }
.tick, .label { font-size: 12px; fill: var(--soft); } .grid { stroke: var(--line); } .axis { stroke: var(--soft); }
.limit { stroke: var(--limit); stroke-dasharray: 5 4; }
svg path { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 16px; } .legend svg { vertical-align: middle; }
.r0 { --s: var(--r0); } .r1 { --s: var(--r1); } .r2 { --s: var(--r2); } .r3 { --s: var(--r3); }
.c0 { --s: var(--c0); } .c1 { --s: var(--c1); } .c2 { --s: var(--c2); } .c3 { --s: var(--c3); } .c4 { --s: var(--c4); }
.c5 { --s: var(--c5); } g path { stroke: var(--s); } g circle, g rect { fill: var(--s); }
.mark .halo { stroke: var(--panel); stroke-width: 3.5; } .mark .error { stroke: var(--text); stroke-width: 1.3; }
.mark circle { stroke: var(--panel); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
th, td { padding: 2px 9px; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, th.name, td.name { text-align: left; } td { vertical-align: top; }
table.words td { white-space: normal; }
.scroll th:first-child, .scroll td:first-child { position: sticky; left: 0; background: var(--page); }
ul { margin: 0.3em 0 0.8em; padding-left: 1.3em; max-width: 75ch; } li { margin: 0.2em 0; }
.scroll:focus-visible { outline: 2px solid var(--c0); } pre { margin: 0.3em 0 0.8em; font-size: 0.85rem; white-space: pre-wrap; }
details { margin: 0.8em 0; } summary { cursor: pointer; }
@media print { :root { color-scheme: light; } body { padding: 0; max-width: none; font-size: 10pt; print-color-adjust: exact;
    -webkit-print-color-adjust: exact; }
  .charts { grid-template-columns: 1fr 1fr; } figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .scroll { overflow: visible; } th, td { white-space: normal; padding: 2px 5px; } }
</style>
)";

}  // namespace

std::string page_begin(const std::string& title) {
  return fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta "
      "http-equiv=\"Content-Security-Policy\" "
      "content=\"default-src 'none'; style-src 'unsafe-inline'\"><meta name=\"viewport\" "
      "content=\"width=device-width, initial-scale=1\"><title>{0}</title>\n{1}</head><body>\n<h1>{0}</h1>\n",
      html_text(title), kStyle);
}

std::string page_end() {
  return "</body></html>\n";
}

}  // namespace stonechat
