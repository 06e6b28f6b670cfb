# SPDX-License-Identifier: Apache-2.0
# usage: zsh -f complete.zsh DIRECTORY LINE. What an interactive zsh offers when the Tab key is pressed behind LINE, each on a line that begins
# with "weft-match "; DIRECTORY has the completion functions.
#
# The shell runs in a terminal of its own (zpty). Its compadd, through which every match goes, says them instead of keeping them.
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "source $(print -r -- ${(q)0:A:h})/complete_shell.zsh ${(q)1}"
zpty -r shell answer '*weft-shell-ready*' || exit 1
zpty -n -w shell "$2"$'\t'
zpty -r shell answer '*weft-matches-end*' || exit 1
answer=${answer#*weft-matches-begin}
print -r -- ${${answer%weft-matches-end*}//$'\r'/}
