# What became of the runs of each row: how many succeeded, did not, ended with an output of 0, or diverged.
load 'common.gp'
names = '"success" "no success" "output vanished" "diverged"'; columns = 'success no_success vanished diverged'
fills = '#007a5a #dddddd #e69f00 #5c1a1a'  # as different in grey as in colour
inks = 'white black black white'
n = 0; widest = 8; stats 'rows.tsv' using (column('scene') > 1 ? 0 : (n = n + 1, widest = max(widest, strlen(strcol('row'))))) nooutput
left = 30 + character * widest; top = 62; plot_width = 520
eval(canvas('outcomes', left + plot_width + 40, top + 28 * n + 74))
eval(place(left, top, plot_width, 28 * n))
eval(heading('What became of the runs'.on_scene, effort.'; success: '.success_text(success)))
set border 1; set xrange [0:100]; set xtics 0,25,100; set format x '%g %%'; set yrange [n + 0.5:0.5]; unset ytics
set key at graph 0, screen 10 / height width 1

# before(k) is where the k-th outcome begins.
percent(k) = 100.0 * column(word(columns, k)) / max(1, column('runs'))
before(k) = k == 1 ? 0 : before(k - 1) + percent(k - 1)
middle(k) = before(k) + percent(k) / 2
count(k) = percent(k) / 100 * plot_width > character * strlen(strcol(word(columns, k))) ? strcol(word(columns, k)) : ''
plot for [k=1:4] 'rows.tsv' using (middle(k)):(up(0)):(before(k)):(before(k) + percent(k)):(up(0.38)):(up(-0.38)) \
       with boxxyerror fs solid border lc rgb 'white' fc rgb word(fills, k) title word(names, k), \
     for [k=1:4] '' using (middle(k)):(up(0)):(count(k)) with labels font small textcolor rgb word(inks, k), \
     '' using (0):(up(0)):'row' with labels right offset -1,0 textcolor rgb dark
