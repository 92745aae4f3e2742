#compdef phizoo
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
_phizoo_completion() {
    local kind value help
    local -a answers plain described
    answers=("${(@f)$(COMP_WORDS="${words[*]}" COMP_CWORD=$((CURRENT - 1)) \
        _PHIZOO_COMPLETE=zsh_complete "${words[1]}" 2>/dev/null)}")
    compset -P '--*='
    for kind value help in $answers; do
        case $kind in
            dir) _path_files -/ ;;
            file) _path_files ;;
            plain) [[ $help == _ ]] && plain+=("$value") || described+=("$value:$help") ;;
        esac
    done
    (( $#described )) && _describe -V unsorted described
    (( $#plain )) && compadd -V unsorted -a plain
    [[ -n "$answers" ]]
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _phizoo_completion "$@"
else
    compdef _phizoo_completion phizoo
fi
