import type { LmMessage } from './language-model.ts';

/** What one side said, in one go; never without a text. */
export type Turn = { readonly role: 'user' | 'assistant'; readonly texts: readonly string[] };

/** A conversation as providers see it that keep the system's words apart. */
export type Conversation = { readonly system: readonly string[]; readonly turns: readonly Turn[] };

/** Takes the system's messages out and joins neighbours of one role into one turn, as these providers ask; no text is changed. */
export function conversationOf(messages: readonly LmMessage[]): Conversation {
  const system: string[] = [];
  const turns: { role: Turn['role']; texts: string[] }[] = [];
  for (const { role, content } of messages) {
    if (role === 'system' || role === 'developer') {
      if (content !== '') system.push(content);
      continue;
    }
    const side = role === 'assistant' ? 'assistant' : 'user';
    const last = turns.at(-1);
    if (last?.role === side) last.texts.push(content);
    else turns.push({ role: side, texts: [content] });
  }
  return { system, turns };
}
