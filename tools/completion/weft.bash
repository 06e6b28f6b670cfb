# SPDX-License-Identifier: Apache-2.0
# bash completion of weft. Flags are read from --help, so they are those of the weft that is installed.

_weft_flags() {
  "$@" --help 2>/dev/null | grep -oE '(^|[ ,])--[a-z][a-z-]*=?' | tr -d ' ,' | sort -u
}

# Processes of this user that have the library mapped.
_weft_processes() {
  local maps
  for maps in /proc/[0-9]*/maps; do
    if grep -qs 'libweft\.so' "$maps"; then
      maps=${maps#/proc/}
      echo "${maps%/maps}"
    fi
  done
}

_weft() {
  local commands="bt check diff flame lint ps run snap stat top trace"
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]} values="" i
  COMPREPLY=()

  if ((COMP_CWORD == 1)) && [[ $word != -* ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$word") $(compgen -c -- "$word"))
    return
  fi
  case $command in
    bt|diff|flame|lint|ps|snap|stat|top|trace)
      # "--stop=all" comes in three words.
      if [[ $word == "=" ]]; then word="" ; elif [[ $before == "=" ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi
      case $before in
        --format) values="svg folded speedscope" ;;
        --group) values="state wait top start" ;;
        --stop) values="running all none" ;;
        --unwinder) values="libunwind libdw" ;;
        --weight) values="count since run" ;;
        --debug-dir|--sysroot) COMPREPLY=($(compgen -d -- "$word")); return ;;
        --exe|-o) COMPREPLY=($(compgen -f -- "$word")); return ;;
        --columns|--depth|--interval|--mailbox-full|--piled-up|--piled-up-age|--sort|--stack|--starvation|--timeout|--unjoined|--unjoined-age|--where|-d|-n) return ;;
        *)
          if [[ $word == -* ]]; then
            values=$(_weft_flags weft "$command")
          else
            COMPREPLY=($(compgen -f -- "$word"))
            values=$(_weft_processes)
          fi ;;
      esac
      COMPREPLY+=($(compgen -W "$values" -- "$word"))
      ;;
    check)
      COMPREPLY=($(compgen -c -- "$word") $(compgen -f -- "$word"))
      ;;
    *)
      # Behind the program's name the words are its own.
      for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} != -* && ${COMP_WORDS[i]} != = && ${COMP_WORDS[i-1]} != = && ! ($i == 1 && ${COMP_WORDS[i]} == run) ]]; then
          COMPREPLY=($(compgen -f -- "$word"))
          return
        fi
      done
      if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "$(_weft_flags weft)" -- "$word"))
        [[ ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
      else
        COMPREPLY=($(compgen -c -- "$word") $(compgen -f -- "$word"))
      fi
      ;;
  esac
}

complete -o filenames -F _weft weft
