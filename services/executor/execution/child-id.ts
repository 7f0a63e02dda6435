import { createHash } from 'node:crypto';

/**
 * The id of a step of an execution: the same for the same parent, step and turn, so that whoever takes over finds what was begun. Its
 * time is the parent's, and so its place in lists.
 */
export function childId(parentId: string, step: string, turn = 0): string {
  const hex = createHash('sha256').update(`${parentId}/${turn}/${step}`).digest('hex');
  const variant = ((Number.parseInt(hex[3]!, 16) & 0x3) | 0x8).toString(16);
  return `${parentId.slice(0, 13)}-7${hex.slice(0, 3)}-${variant}${hex.slice(4, 7)}-${hex.slice(7, 19)}`;
}
