function _phizoo_completion
    for line in (env COMP_WORDS=(commandline -cp) COMP_CWORD=(commandline -t) _PHIZOO_COMPLETE=fish_complete \
        phizoo 2>/dev/null)
        set -l answer (string split --max 1 , -- $line)
        set -l option (string match --regex -- '^--[^=]+=' (commandline -t))
        switch $answer[1]
            case dir
                __fish_complete_directories $answer[2]
            case file
                __fish_complete_path $answer[2]
            case plain
                echo "$option$answer[2]"
        end
    end
end
complete --no-files --command phizoo --arguments "(_phizoo_completion)"
