# What all figures share; each loads it first. Lengths are in CSS pixels: a PNG has `scale` times as many, a PDF 72 to the inch.
#   cd figures && gnuplot loss.gp                        draws ../loss.png again
#   cd figures && gnuplot -e "scale=3" loss.gp           for print
#   cd figures && gnuplot -e "format='pdf'" loss.gp      or another format: png, svg, pdf
if (!exists("format")) format = 'png'
if (!exists("scale")) scale = 1.5
font = 'DejaVu Sans'
small = sprintf(',%.1f', format eq 'svg' ? 11 : 8.5)   # a font for notes
dot = format eq 'svg' ? 0.55 : 1                       # the unit of point sizes: the SVG's are larger
line = format eq 'svg' ? 20 : 15.5                     # the height of a line of text
character = 7.2                                        # and the width of a letter, generously
grey = '#606060'; dark = '#404040'
faint = "lc rgb '#e0e0e0' lt 1 lw 0.5"                 # lines of a grid, as a macro: @faint
viridis = "(0 '#440154', 1 '#482878', 2 '#3e4a89', 3 '#31688e', 4 '#26828e', ". \
          "5 '#1f9e89', 6 '#35b779', 7 '#6dcd59', 8 '#b4de2c', 9 '#fde725')"
blue_red = "(0 '#053061', 1 '#2166ac', 2 '#4393c3', 3 '#92c5de', 4 '#d1e5f0', 5 '#ffffff', ". \
           "6 '#fddbc7', 7 '#f4a582', 8 '#d6604d', 9 '#b2182b', 10 '#67001f')"

# For eval: canvas opens the picture, for any number of plots; place says where the box of the next is, from the top left.
canvas(name, w, h) = (width = real(w), height = real(h), terminal(w, h)." background rgb 'white'; set output '". \
  (exists("drawing") ? drawing : '../'.name.'.'.format)."'; set multiplot")
terminal(w, h) = \
  format eq 'svg' ? sprintf("set terminal svg noenhanced size %d,%d font '%s, sans-serif,13'", w, h, font) : \
  format eq 'pdf' ? sprintf("set terminal pdfcairo noenhanced size %f,%f font '%s,10' linewidth 1.6", w / 72., h / 72., font) : \
  sprintf("set terminal pngcairo noenhanced size %d,%d font '%s,10' fontscale %f linewidth %f", scale * w, scale * h, font, scale, scale)
place(left, top, w, h) = sprintf('set lmargin at screen %f; set rmargin at screen %f; ', left / width, (left + w) / width). \
  sprintf('set tmargin at screen %f; set bmargin at screen %f', 1 - top / height, 1 - (top + h) / height)

# A logarithmic axis: see(v) every value, then eval(log_axis('y', its length)). inside(v), of a cell at(name), moves what has
# no place on it to its ends: 0, and what is beyond `most`. gnuplot's own has labels at powers of ten only, and drops that.
forget = 'low = 1e300; high = 0; most = 1e300; zero = 0; beyond = 0; unset logscale y; set autoscale y'; eval(forget)
see(v) = (zero = zero || v == 0, beyond = beyond || v > most, \
  v > 0 && min(v, most) < 1e300 ? (low = min(low, min(v, most)), high = max(high, min(v, most))) : 0)
log_axis(axis, length) = (low = high > 0 ? low / (zero ? 4.2 : 1.4) : 0.7, high = high > 0 ? high * 1.4 : 1.4, \
  decade = length / log10(high / low), room = axis eq 'x' ? 44 : 22, stride = int(ceil(1.6 * room / decade)), \
  first = stride * int(floor(log10(low) / stride)), last = int(ceil(log10(high))), \
  mantissas = decade > 22 * room ? '1 1.5 2 3 4 5 6 7 8 9' : decade > 8 * room ? '1 1.5 2 3 5 7' : decade > 3.3 * room ? '1 2 5' : '1', \
  'set logscale '.axis.'; set '.axis.'range [low:high]; set '.axis.'tics (); set grid '.axis.'tics '.faint.'; '. \
  'set for [p=first:last:stride] for [m in mantissas] '.axis.'tics add (tic(p, m) m * 10.0**p)')
tic(p, m) = abs(p) <= 3 ? sprintf('%.4g', m * 10.0**p) : (m eq '1' ? '' : m.'·').'10'.(p < 0 ? '⁻' : '').superscript(abs(p))
superscript(n) = (n > 9 ? superscript(n / 10) : '').word('⁰ ¹ ² ³ ⁴ ⁵ ⁶ ⁷ ⁸ ⁹', n % 10 + 1)
inside(v) = v < low ? low : v > high ? high : v; at(name) = inside(cell(name))
ends = "if (zero) {set label '0' at graph 1.01, graph 0 font small}; if (beyond) {set label 'beyond' at graph 1.01, graph 1 font small}"
# A cell of a table as stats can use it, which takes a whole line for invalid where it meets a nan; and other words.
cell(name) = strcol(name) eq 'nan' ? NaN : column(name)
text(field) = field eq '-' ? '' : field
min(v, w) = w < v ? w : v; max(v, w) = w > v ? w : v
number(v) = abs(v) < 1e300 ? sprintf('%.4g', v) : '–'
success_text(v) = v > 0 ? sprintf('relative error ≤ %.3g %%', 100 * v) : 'a near-exact product'
split_text(split) = split eq 'train' ? "the scene\ntrained on" : split eq 'inside' ? "same range,\ndrawn anew" : \
  split eq 'moved' ? "same values,\nother places" : split eq 'values' ? "same places,\nother values" : \
  split eq 'both' ? "other places\nand values" : split eq 'outside' ? 'the test range' : split eq 'given' ? 'the test pairs' : split
# Of a text on several lines: how many, the length of the longest, and all of it on one.
rest(text) = text[strstrt(text, "\n") + 1:*]
lines(text) = strstrt(text, "\n") == 0 ? 1 : 1 + lines(rest(text))
longest(text) = strstrt(text, "\n") == 0 ? strlen(text) : max(strstrt(text, "\n") - 1, longest(rest(text)))
joined(text, by) = strstrt(text, "\n") == 0 ? text : text[1:strstrt(text, "\n") - 1].by.joined(rest(text), by)
set encoding utf8; set datafile separator "\t"; set datafile columnheaders
set border lc rgb dark; set tics nomirror out scale 0.5
set key left bottom horizontal Left reverse samplen 1 noautotitle; unset key  # set again, it has what has a title
set style textbox opaque noborder margins 0.3,0.3; set pointintervalbox 0.01  # no halo between a point and its error bar

# about('seeds'): what about.tsv says of it. heading, for eval: a title in the corner, and in small what it is about.
facts = "\n"; stats 'about.tsv' using (facts = facts.strcol('key')."\t".strcol('value')."\n", 0) nooutput
about(key) = (found = facts[strstrt(facts, "\n".key."\t") + strlen(key) + 2:*], text(found[1:strstrt(found, "\n") - 1]))
fact(key) = (found = about(key), e = strstrt(found, 'e'), \
  real(e > 0 && strstrt(found, '.') == 0 ? found[1:e - 1].'.0'.found[e:*] : found))  # to gnuplot 1e-05 is no number
seeds = int(about('seeds')); success = about('success') eq 'nan' ? 0 : fact('success')
goal = about('product') eq '' ? 'target' : about('product')
loss_text = about('loss') eq 'mse' ? 'mean squared error of the output' : 'loss  ‖output − '.goal.'‖₂'
on_scene = about('scenes') > 1 ? ' on '.about('scene') : ''
effort = sprintf('%d seed%s, %s steps', seeds, seeds > 1 ? 's' : '', about('steps'))
heading(title, note) = (title_ = title, note_ = note, "set label title_ at screen 14/width, screen 1 - 18/height; ". \
  "set label note_ at screen 14/width, screen 1 - 38/height font small textcolor rgb grey")

# rows.tsv has a line for every row: here(what) of those on the first scene, up(v) a height above the place of each;
# `shown` tells the best one of every variant: name[i], variant[i], colour[i], point[i], for i in 1 to rows. A key of
# these has key_lines(width); eval(key_below(width)) puts it at the bottom.
here(what) = column('scene') == 1 ? what : NaN; up(v) = here(column('place') - v)
shown = "column('scene') == 1 && column('unit') > 0"
widest = 0; rows = 0; stats 'rows.tsv' using (@shown ? (rows = rows + 1, widest = max(widest, strlen(strcol('row')))) : 0) nooutput
all_rows = int(STATS_records); array name[rows]; array variant[rows]; array colour[rows]; array point[rows]
stats 'rows.tsv' using (@shown ? (i = int(column('unit')), name[i] = strcol('row'), variant[i] = strcol('variant'), \
  colour[i] = int(column('colour')), point[i] = int(column('point'))) : 0) nooutput
key_columns(width) = int(max(1, min(rows, floor(width / (character * widest + 44)))))
key_lines(width) = (rows + key_columns(width) - 1) / key_columns(width)
key_below(width) = 'set key at graph 0, screen 10/height maxcols '.key_columns(width)
