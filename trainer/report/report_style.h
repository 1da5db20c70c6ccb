// The style sheet of report.html. Series colours pass 4.5:1 against the page in light and in dark; dashes tell the
// series apart without colour.
#pragma once

#include <string_view>

namespace swallowtail {

inline constexpr std::string_view kReportStyle = R"css(
:root{color-scheme:light dark;
--page:#fcfcfb;--card:#fff;--ink:#1c2127;--soft:#58616b;--line:#e2e5e9;--grid:#eaecef;--warn:#8a4b00;--warn-page:#fff4e0;
--c0:#1f5fbf;--c1:#c2410c;--c2:#0d7a68;--c3:#7a3fd0;--c4:#8a6100;--c5:#b8256e}
@media (prefers-color-scheme:dark){:root{
--page:#14171a;--card:#1c2024;--ink:#e7eaed;--soft:#a3adb8;--line:#30363d;--grid:#282d33;--warn:#ffc66d;--warn-page:#33270f;
--c0:#7eaef8;--c1:#f59a66;--c2:#55c8b4;--c3:#bda1f7;--c4:#dcb85f;--c5:#f389b6}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif;
font-variant-numeric:tabular-nums}
main,header,footer{max-width:1120px;margin:0 auto;padding:0 24px}
header{padding-top:44px}
.eyebrow{margin:0;color:var(--soft);font-size:13px;letter-spacing:.04em}
h1{margin:2px 0 6px;font-size:34px;line-height:1.2;font-weight:650;letter-spacing:-.015em;overflow-wrap:anywhere}
.lead{margin:0;color:var(--soft);max-width:46em}
h2{margin:48px 0 14px;font-size:20px;font-weight:620;letter-spacing:-.005em}
.warning{margin:18px 0 0;padding:10px 14px;border-radius:8px;background:var(--warn-page);color:var(--warn)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(190px,1fr));gap:14px;margin:0;padding:0;list-style:none}
.cards li{padding:16px 18px 14px;background:var(--card);border:1px solid var(--line);border-radius:10px}
.cards .name{display:block;color:var(--soft);font-size:14px}
.cards .value{display:block;margin:2px 0 4px;font-size:32px;line-height:1.15;font-weight:620;letter-spacing:-.02em}
.cards .beside{display:block;color:var(--soft);font-size:13px}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:14px 24px;margin:22px 0 0}
.facts div{min-width:0}
dt{color:var(--soft);font-size:13px}
dd{margin:0;overflow-wrap:anywhere}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));gap:18px}
.squares{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(310px,100%),1fr));gap:18px}
figure{margin:0;padding:14px 16px 8px;background:var(--card);border:1px solid var(--line);border-radius:10px;min-width:0}
figcaption{font-weight:600;font-size:15px}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;margin:4px 0 6px;padding:0;list-style:none;font-size:13px;color:var(--soft)}
.legend svg{margin-right:7px;vertical-align:2px}
figure>svg{display:block;width:100%;height:auto;font-size:12px}
.squares figure>svg{max-width:430px;margin:0 auto}
svg text{fill:var(--soft);font-family:inherit}
svg .empty{font-size:14px}
.grid{stroke:var(--grid);fill:none}
.axis{stroke:var(--soft);fill:none;opacity:.6}
.line{fill:none;stroke-width:1.9;stroke-linejoin:round;stroke-linecap:round}
.band{stroke:none;opacity:.16}
.reference{stroke:var(--soft);fill:none;stroke-dasharray:3 4;opacity:.9}
.mark{stroke:var(--soft);fill:none;stroke-dasharray:2 3}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}.s4{stroke:var(--c4)}.s5{stroke:var(--c5)}
.line.s1{stroke-dasharray:7 3}.line.s2{stroke-dasharray:2 4}.line.s3{stroke-dasharray:9 3 2 3}.line.s4{stroke-dasharray:12 4}
.line.s5{stroke-dasharray:4 3}
.band.s0,.point.s0,.share.s0{fill:var(--c0)}.band.s1,.point.s1,.share.s1{fill:var(--c1)}.band.s2,.point.s2,.share.s2{fill:var(--c2)}
.band.s3,.point.s3,.share.s3{fill:var(--c3)}.band.s4,.point.s4,.share.s4{fill:var(--c4)}.band.s5,.point.s5,.share.s5{fill:var(--c5)}
.point,.band,.share{stroke:none}
.dots{fill-opacity:.55}
.note{margin:12px 0 0;color:var(--soft);font-size:14px;max-width:60em}
.strata{display:grid;grid-template-columns:minmax(min(340px,100%),430px) minmax(0,1fr);gap:18px;align-items:start}
.name{white-space:nowrap}.wide{min-width:250px}
.marks{margin:0;padding:0;list-style:none;font-size:14px}.marks span{color:var(--soft)}
.bar{display:flex;height:10px;min-width:120px;border-radius:3px;overflow:hidden;background:var(--grid)}
.whisker{stroke:var(--ink);stroke-width:1.5}.whisker-zero{stroke:var(--soft);stroke-dasharray:2 3}.whisker-dot{fill:var(--ink)}
.example{margin:0 0 14px}.example p{margin:0;padding:0 16px 10px;color:var(--soft);font-size:14px}
@media (max-width:820px){.strata{grid-template-columns:minmax(0,1fr)}}
.scroll{overflow-x:auto;background:var(--card);border:1px solid var(--line);border-radius:10px}
table{border-collapse:collapse;width:100%;font-size:15px}
caption{text-align:left;padding:10px 16px 0;color:var(--soft);font-size:13px}
th,td{padding:8px 16px;text-align:left;border-top:1px solid var(--line);vertical-align:baseline}
thead th,tbody:first-child tr:first-child>*{border-top:0}
th{font-weight:600}
thead th{color:var(--soft);font-size:13px}
.pairs th{width:42%}
.number{text-align:right;white-space:nowrap}
td.meaning{color:var(--soft);font-size:14px}
.time{padding:16px 0 0}
.time>svg{display:block;width:100%;height:22px;border-radius:6px}
.swatch{display:inline-block;width:10px;height:10px;margin-right:9px;border-radius:2px}
.b0{background:var(--c0)}.b1{background:var(--c1)}.b2{background:var(--c2)}.b3{background:var(--c3)}.b4{background:var(--c4)}.b5{background:var(--c5)}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(440px,100%),1fr));gap:0 32px}
details{background:var(--card);border:1px solid var(--line);border-radius:10px}
summary{padding:11px 16px;cursor:pointer;font-weight:600}
summary:focus-visible,.scroll:focus-visible{outline:2px solid var(--c0);outline-offset:2px}
pre{margin:0;padding:4px 16px 16px;overflow-x:auto;font:13px/1.55 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace}
code{font:.92em ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;overflow-wrap:anywhere}
th code{overflow-wrap:normal;white-space:nowrap}
footer{margin-top:56px;padding-bottom:40px;color:var(--soft);font-size:13px}
@media (max-width:560px){main,header,footer{padding-left:14px;padding-right:14px}h1{font-size:27px}.cards .value{font-size:27px}}
@media print{body{background:#fff}figure,.cards li,.scroll{break-inside:avoid}}
)css";

}  // namespace swallowtail
