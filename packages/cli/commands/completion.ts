import type { Command, Option } from 'commander';

const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** A command as a shell completes it: its words, and what may follow. */
export type CompletionEntry = { readonly path: string; readonly words: readonly { word: string; about: string }[] };

/** What may follow each command, hidden ones and aliases left out. */
export function completionEntries(root: Command, path = ''): CompletionEntry[] {
  const visible = root.createHelp();
  const commands = visible
    .visibleCommands(root)
    .map((command) => ({ word: command.name(), about: command.summary() || command.description() }));
  const options = visible
    .visibleOptions(root)
    .flatMap((option: Option) => (option.long ? [{ word: option.long, about: option.description }] : []));
  const below = root.commands.flatMap((command) =>
    [command.name(), ...command.aliases()].flatMap((name) => completionEntries(command, `${path} ${name}`.trim())),
  );
  return [{ path, words: [...commands, ...options] }, ...below];
}

/** The script that completes `signet` in a shell. Throws RangeError for a shell that is not known. */
export function completionScript(shell: string, root: Command): string {
  const entries = completionEntries(root);
  if (shell === 'bash') return bashScript(entries);
  if (shell === 'zsh') return zshScript(entries);
  if (shell === 'fish') return fishScript(entries);
  throw new RangeError(`completion knows ${SHELLS.join(', ')}, not \`${shell}\``);
}

// The longest run of command words on the line decides: options and values in between do not matter.
function bashScript(entries: readonly CompletionEntry[]): string {
  const cases = entries.map(
    ({ path, words }) => `    '${path}') echo ${quote(words.map(({ word }) => word).join(' '))} ;;`,
  );
  return `# signet completion for bash: source <(signet completion bash)
_signet_words() {
  case "$1" in
${cases.join('\n')}
    *) return 1 ;;
  esac
}
_signet() {
  local word path='' next at
  for ((at = 1; at < COMP_CWORD; at++)); do
    word=\${COMP_WORDS[at]}
    next="\${path:+$path }$word"
    if [[ $word != -* ]] && _signet_words "$next" >/dev/null; then path=$next; fi
  done
  word=\${COMP_WORDS[COMP_CWORD]}
  if [[ $word == @* ]]; then
    mapfile -t COMPREPLY < <(compgen -P @ -f -- "\${word#@}")
  else
    mapfile -t COMPREPLY < <(compgen -W "$(_signet_words "$path")" -- "$word")
  fi
}
complete -o default -F _signet signet
`;
}

function zshScript(entries: readonly CompletionEntry[]): string {
  const cases = entries.map(({ path, words }) => {
    const described = words.map(({ word, about }) => quote(`${word.replaceAll(':', '\\:')}:${short(about)}`));
    return `    '${path}') words_here=(${described.join(' ')}) ;;`;
  });
  return `#compdef signet
# signet completion for zsh: signet completion zsh > "\${fpath[1]}/_signet"
_signet_words() {
  case "$1" in
${cases.join('\n')}
    *) return 1 ;;
  esac
}
_signet() {
  local -a words_here
  local path_here='' next word
  for word in \${words[2,CURRENT-1]}; do
    next="\${path_here:+$path_here }$word"
    if [[ $word != -* ]] && _signet_words "$next"; then path_here=$next; fi
  done
  _signet_words "$path_here"
  _describe 'signet' words_here
}
compdef _signet signet
`;
}

function fishScript(entries: readonly CompletionEntry[]): string {
  const lines = entries.flatMap(({ path, words }) => {
    const before = path === '' ? [] : path.split(' ');
    const condition = quote(`__signet_at ${before.join(' ')}`.trim());
    return words.map(({ word, about }) => {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-a ${word}`;
      return `complete -c signet -n ${condition} ${what} -d ${quote(short(about))}`;
    });
  });
  return `# signet completion for fish: signet completion fish > ~/.config/fish/completions/signet.fish
function __signet_at
  set -l given
  for word in (commandline -opc)[2..-1]
    string match -q -- '-*' $word; or set -a given $word
  end
  test "$given" = "$argv"
end
complete -c signet -f
${lines.join('\n')}
`;
}

function short(text: string): string {
  const line = text.split('\n')[0] ?? '';
  return line.length > 70 ? `${line.slice(0, 69)}…` : line;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
