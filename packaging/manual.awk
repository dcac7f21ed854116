# conv_mult --listing | awk -f manual.awk -v form=man|bash - TEMPLATE: the template with the options in place of its
# line %OPTIONS%. A line of the listing: command, group, name, placeholder, what is allowed, help, default.
BEGIN { FS = "\t" }

{ is_option = NR == FNR && NF > 1 }

function troff(text) {  # a dash, not a hyphen
  gsub(/-/, "\\\\&", text)
  return text
}

function words_of(allowed,   parts, count, i, words) {  # "one of a, b, or what is no word"
  count = sub(/^one of /, "", allowed) ? split(allowed, parts, ", ") : 0
  for (i = 1; i <= count; ++i)
    if (parts[i] !~ / /)
      words = words (words == "" ? "" : " ") parts[i]
  return words
}

is_option && form == "man" {
  if ($1 "/" $2 != section) {
    section = $1 "/" $2
    heading = $1 == "merge" ? ".SH CONV_MULT MERGE\nJoins the results of shards: the tables of the unsharded run.\n.TP\n\\fIDIR...\\fR\nResult folders, one for each shard." : ".SS " ($2 == "Options" ? "General" : $2)
    options = options heading "\n"
  }
  head = ($3 == "help" ? "\\fB\\-h\\fR, " : "") "\\fB" troff("--" $3) "\\fR" ($4 == "" ? "" : " \\fI" troff($4) "\\fR")
  options = options ".TP\n" head "\n" troff(toupper(substr($6, 1, 1)) substr($6, 2)) "." \
    ($5 == "" || $4 == "" ? "" : " Allowed: " troff($5) ".") ($7 == "" ? "" : " Default: " troff($7) ".") "\n"
}

is_option && form == "bash" {
  before = $1 == "" ? "" : $1 " "
  names[before] = names[before] ($3 == "help" ? " -h" : "") " --" $3
  how = $4 == "DIR" ? "paths=-d" : $4 ~ /^FILE/ ? "paths=-f" : words_of($5) == "" ? "return" : "words='" words_of($5) "'"
  if ($4 != "")
    options = options "    '" before "--" $3 "') " how " ;;\n"
}

NR == FNR { next }

/^%OPTIONS%$/ {
  printf "%s", options
  if (form == "bash")
    printf "    'report '*) ;;\n    'merge '*) words='%s' ;;\n    *) words='%s' ;;\n", names["merge "], names[""]
  next
}

{ print }
