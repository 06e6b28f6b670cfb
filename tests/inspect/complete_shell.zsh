# SPDX-License-Identifier: Apache-2.0
# Read by the shell that complete.zsh asks: completion from the directory that it is given, and matches said.
PROMPT=
unsetopt zle_bracketed_paste 2>/dev/null
unset zle_bracketed_paste
fpath=($1 $fpath)
autoload -U compinit
compinit -u -D

compadd() {
  # With -O, -A or -D it only computes, for the completion functions.
  if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
    builtin compadd "$@"
    return
  fi
  local -a matches
  builtin compadd -A matches "$@"
  (( $#matches )) && print -rl -- '' 'weft-match '$^matches
  builtin compadd "$@"
}
say_begin() { print -r -- weft-matches-begin }
say_end() { print -r -- weft-matches-end }
compprefuncs=(say_begin)
comppostfuncs=(say_end)
bindkey '^I' complete-word
print -r -- weft-shell-''ready
