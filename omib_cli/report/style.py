"""The report's style sheet: one column, light or dark as the reader's system is, fit for paper and for a telephone."""

from __future__ import annotations

CSS = """
:root{color-scheme:light dark;--ink:#1d2329;--soft:#5a6470;--rule:#dde2e7;--page:#f6f7f9;--card:#fff;--accent:#0b5c93;
--warn-bg:#fdf0e2;--warn:#8a3b00}
@media (prefers-color-scheme:dark){:root{--ink:#e6e9ed;--soft:#9ba5b0;--rule:#343b43;--page:#14171b;--card:#1d2126;
--accent:#7fbce8;--warn-bg:#35271a;--warn:#f2b27a}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,
"Helvetica Neue",Arial,"DejaVu Sans",sans-serif;-webkit-text-size-adjust:100%}
main{max-width:62rem;margin:0 auto;padding:2.2rem 1.25rem 4rem}
header{margin-bottom:1.6rem}
.eyebrow{margin:0;color:var(--soft);font-size:.82rem;letter-spacing:.06em;text-transform:uppercase}
h1{margin:.15rem 0 .35rem;font-size:2rem;line-height:1.2;letter-spacing:-.015em;overflow-wrap:anywhere}
h2{margin:2.6rem 0 .7rem;font-size:1.3rem;letter-spacing:-.01em}
h3{margin:0 0 .1rem;font-size:1.02rem}
p{margin:.45rem 0;max-width:46rem}
.lead{font-size:1.06rem;color:var(--soft);margin:0}
.soft,.foot{color:var(--soft)}
.foot{font-size:.86rem}
code,pre,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;font-size:.85em}
p,li,h2,h3,figcaption,code{overflow-wrap:anywhere}
pre{overflow-x:auto;padding:.9rem 1rem;background:var(--card);border:1px solid var(--rule);border-radius:8px;
line-height:1.45}
a{color:var(--accent)}
.warn{background:var(--warn-bg);color:var(--warn);border-radius:8px;padding:.6rem .9rem;max-width:none}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(10.5rem,1fr));gap:.8rem;margin:.4rem 0 .9rem}
.card{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:.8rem 1rem}
.card .name{color:var(--soft);font-size:.86rem}
.card .value{font-size:1.55rem;font-weight:620;font-variant-numeric:tabular-nums;line-height:1.25}
.card .range{color:var(--soft);font-size:.84rem;font-variant-numeric:tabular-nums}
.card.main{border-color:var(--accent);box-shadow:inset 0 0 0 1px var(--accent)}
.card.main .value{font-size:2.1rem}
.figures{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:1rem}
figure{margin:0;background:var(--card);border:1px solid var(--rule);border-radius:10px;overflow:hidden}
figure.wide{grid-column:1/-1}
figure .plot{background:#fff;padding:.6rem .7rem;overflow-x:auto}
figure svg{display:block;width:100%;height:auto;margin:0 auto}
figcaption{padding:.7rem 1rem .85rem;border-top:1px solid var(--rule);font-size:.9rem;color:var(--soft)}
figcaption h3{color:var(--ink)}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;margin:.4rem 0}
th,td{padding:.34rem .8rem .34rem 0;text-align:right;border-bottom:1px solid var(--rule);white-space:nowrap;
vertical-align:top}
th:first-child,th[scope=row]{text-align:left;font-weight:500}
thead th{color:var(--soft);font-weight:500;vertical-align:bottom}
td small,th small{color:var(--soft);font-size:.82em;display:block;font-weight:400}
tr.strong th,tr.strong td{font-weight:650}
tr.minor td,tr.minor th{font-size:.92em;color:var(--soft)}
.scroll+.scroll{margin-top:1.1rem}
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(17rem,1fr));gap:.1rem 1.6rem;margin:.4rem 0}
dl div{padding:.3rem 0;border-bottom:1px solid var(--rule)}
dt{color:var(--soft);font-size:.84rem}
dd{margin:0;overflow-wrap:anywhere}
.long dl{grid-template-columns:1fr}
ul{padding-left:1.2rem;max-width:46rem;margin:.4rem 0}
li{margin:.3rem 0}
details{margin:.6rem 0}
summary{cursor:pointer;color:var(--accent)}
article{margin-top:3.4rem;padding-top:.6rem;border-top:3px solid var(--rule)}
article>h1{font-size:1.6rem}
@media (max-width:44rem){main{padding:1.3rem .85rem 3rem}h1{font-size:1.55rem}
.figures{grid-template-columns:minmax(0,1fr)}
figure.wide svg{min-width:34rem}}
@media print{:root{--ink:#000;--soft:#444;--page:#fff;--card:#fff;--rule:#ccc;--accent:#000;--warn-bg:#fff;--warn:#000}
main{max-width:none;padding:0}body{font-size:10.5pt}figure,.card,tr{break-inside:avoid}h2,h3{break-after:avoid}
article{break-before:page}.scroll,figure .plot{overflow:visible}figure svg{max-height:19cm;max-width:100%}
table{font-size:8.5pt}th,td{padding-right:.5rem}
details::details-content{content-visibility:visible;block-size:auto}pre{white-space:pre-wrap}}
"""
