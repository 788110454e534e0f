"""`cdktr completion`: what a shell needs to complete command lines. What may come next is told by `complete`."""

import shlex
from argparse import Namespace

from cdktr.cli import Exit
from cdktr.cli.common import say
from cdktr.cli.complete import FILES, FOLDERS, WORD
from cdktr.cli.service import command_of_this

# In each script, `ours` is this program, for a command that is an alias or is written as the shell alone reads it.

_BASH = r"""# bash completion of cdktr

_cdktr() {
    local program=(@PROGRAM@) line current=${COMP_WORDS[COMP_CWORD]} like=
    type -P -- "${COMP_WORDS[0]}" >/dev/null && program=("${COMP_WORDS[0]}")
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            $'\t'@FILES@) like='file' ;;
            $'\t'@FOLDERS@) like='directory' ;;
            # Of --flag=value bash completes the value.
            --*=*) line=${line#*=} && COMPREPLY+=("${line%%$'\t'*}") ;;
            *) COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done < <("${program[@]}" @WORD@ "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
    compopt -o nosort 2>/dev/null
    if [[ $like && ${#COMPREPLY[@]} -eq 0 ]]; then
        # None of ours: readline's own way, which knows ~ and quotes.
        if [[ $like == file ]]; then compopt -o default; else compopt -o dirnames; fi
    elif [[ $like ]]; then
        [[ $current == = ]] && current=
        while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen -A "$like" -- "$current")
        compopt -o filenames
    fi
}
complete -F _cdktr cdktr
"""

_ZSH = r"""#compdef cdktr
# zsh completion of cdktr

_cdktr() {
    local -a program found names meanings
    local line name result=1
    program=(@PROGRAM@)
    (( $+commands[${(Q)words[1]}] )) || [[ -x ${(Q)words[1]} ]] && program=("${(Q)words[1]}")
    # As far as the cursor.
    found=("${(@f)$("${program[@]}" @WORD@ "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)}")
    for line in "${found[@]}"; do
        case $line in
            '') ;;
            $'\t'@FILES@) [[ -prefix -*= ]] && compset -P '*='; _files && result=0 ;;
            $'\t'@FOLDERS@) [[ -prefix -*= ]] && compset -P '*='; _files -/ && result=0 ;;
            *) name=${line%%$'\t'*}; names+=("$name"); meanings+=("$name${${line#*$'\t'}:+  -- ${line#*$'\t'}}") ;;
        esac
    done
    # In the order that they have, and statuses in small letters too.
    (( $#names )) && compadd -V cdktr -M 'm:{a-z}={A-Z}' -l -d meanings -a names && result=0
    return result
}

if [[ $funcstack[1] == _cdktr ]]; then _cdktr "$@"; else compdef _cdktr cdktr; fi
"""

_FISH = r"""# fish completion of cdktr

function __cdktr_files --argument-names current
    set -l flag (string match -r '^--[^=]+=' -- $current)
    # As for a command of which fish knows nothing.
    complete -C "__cdktr_any "(string replace -r '^--[^=]+=' '' -- $current) | string replace -r '^' -- "$flag"
end

function __cdktr_complete
    set -l before (commandline -opc)
    set -l current (commandline -ct)
    set -l program @PROGRAM@
    type -fq -- $before[1]; and set program $before[1]
    for line in ($program @WORD@ $before[2..-1] $current 2>/dev/null)
        switch $line
            case \t@FILES@
                __cdktr_files "$current"
            case \t@FOLDERS@
                __cdktr_files "$current" | string match '*/'
            case '*'
                echo $line
        end
    end
end
complete -c cdktr -f -k -a '(__cdktr_complete)'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}

#: How a shell comes by it, once and for all.
_PLACES = {
    "bash": "Put `source <(@CALL@ completion bash 2>/dev/null)` into ~/.bashrc.",
    "zsh": "Put `source <(@CALL@ completion zsh 2>/dev/null)` into ~/.zshrc, below `autoload -U compinit; compinit`.",
    "fish": "Put it where fish finds it: @CALL@ completion fish > ~/.config/fish/completions/cdktr.fish",
}


def completion(arguments: Namespace) -> int:
    """Print the script; on stderr where to put it."""
    called = shlex.join(command_of_this())
    replaced = {"@PROGRAM@": called, "@WORD@": WORD, "@FILES@": FILES, "@FOLDERS@": FOLDERS, "@CALL@": called}
    script, place = SCRIPTS[arguments.shell], _PLACES[arguments.shell]
    for name, value in replaced.items():
        script, place = script.replace(name, value), place.replace(name, value)
    print(script, end="")
    say(place)
    return Exit.DONE
