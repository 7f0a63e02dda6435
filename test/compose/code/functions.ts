/** The words of a text, as a step of a pipeline counts them. */
export function count_words({ text }: { readonly text: string }): { readonly words: number } {
  return { words: text.split(/\s+/).filter((word) => word !== '').length };
}
