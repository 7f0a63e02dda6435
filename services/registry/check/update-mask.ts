import { invalidField } from '@signet/kit/error/app-error.ts';

/** Which fields of a request an update may name, and which exist but are never set by it. */
export type MaskFields<Name extends string> = {
  readonly settable: readonly Name[];
  readonly outputOnly: readonly string[];
};

// Over HTTP the mask is the body's keys, and these may stand in a body beside the fields.
const beside = new Set(['etag', 'request_id', 'update_mask']);

/**
 * The fields that an update changes: those of the mask, or without a mask those that are `set`. INVALID_REQUEST for a path that is
 * unknown, output only, or inside a field that is replaced as a whole.
 */
export function maskedFields<Name extends string>(
  mask: readonly string[] | undefined,
  set: readonly Name[],
  fields: MaskFields<Name>,
): ReadonlySet<Name> {
  if (mask === undefined || mask.length === 0) return new Set(set);
  const named = new Set<Name>();
  for (const path of mask) {
    const known = fields.settable.find((field) => field === path);
    if (known !== undefined) named.add(known);
    else if (!beside.has(path)) throw refuse(path.slice(0, 100), fields);
  }
  return named;
}

function refuse(path: string, fields: MaskFields<string>) {
  const head = path.split('.')[0] ?? '';
  if (fields.outputOnly.includes(head))
    return invalidField('update_mask', `\`${path}\` cannot be set by an update`, 'OUTPUT_ONLY');
  if (fields.settable.includes(head)) {
    return invalidField('update_mask', `name \`${head}\` as a whole, not \`${path}\``, 'UNKNOWN_FIELD');
  }
  return invalidField(
    'update_mask',
    `unknown field \`${path}\`; there are ${fields.settable.join(', ')}`,
    'UNKNOWN_FIELD',
  );
}
