import { isReason, type Reason, reasons } from '@signet/kit/error/reasons.ts';
import { commentOf } from '../../contract/comments.ts';
import type { HttpBinding, PublicMethod } from '../../contract/public-methods.ts';

const always: readonly Reason[] = [
  'INVALID_REQUEST',
  'KEY_MISSING',
  'KEY_INVALID',
  'KEY_EXPIRED',
  'ROLE_REQUIRED',
  'RATE_LIMITED',
  'DEADLINE_EXCEEDED',
  'CANCELLED',
  'DATABASE_UNAVAILABLE',
  'SERVICE_UNAVAILABLE',
  'SHUTTING_DOWN',
  'INTERNAL',
];

/** Every reason with which a call over HTTP can fail, by status: what its comment says and what every call can meet. */
export function failuresOf(
  method: PublicMethod,
  binding: HttpBinding,
  methods: readonly PublicMethod[],
): ReadonlyMap<number, readonly Reason[]> {
  const found = new Set<Reason>([...always, ...documented(method, methods, new Set())]);
  if (binding.hasBody || binding.bodyField !== undefined) {
    found.add('PAYLOAD_TOO_LARGE');
    found.add('UNSUPPORTED_MEDIA_TYPE');
  }
  const fields = method.desc.input.fields.map((field) => field.name);
  if (fields.includes('request_id')) found.add('IDEMPOTENCY_KEY_REUSED').add('WRITE_CONFLICT');
  if (fields.includes('etag')) found.add('ETAG_MISMATCH');
  const byStatus = new Map<number, Reason[]>();
  for (const reason of found) {
    const { http } = reasons[reason];
    byStatus.set(http, [...(byStatus.get(http) ?? []), reason]);
  }
  return new Map([...byStatus].sort(([a], [b]) => a - b));
}

/** The success statuses that a method's comment names after `Answers`; 204 where the answer is empty, else 200. */
export function successesOf(method: PublicMethod): readonly number[] {
  if (method.desc.output.typeName === 'google.protobuf.Empty') return [204];
  const comment = commentOf(method.desc);
  const named = [...comment.matchAll(/Answers ([^.]*)/g)].flatMap((one) => one[1]!.match(/\b2[0-9]{2}\b/g) ?? []);
  const found = new Set(named.length === 0 ? [200] : named.map(Number));
  if (comment.includes('respond-async')) found.add(202);
  return [...found].sort();
}

// Reasons that the comment names anywhere, mostly as `Fails with A, B, …`, and those of `as ExecuteProgram does`.
function documented(method: PublicMethod, methods: readonly PublicMethod[], seen: Set<string>): Reason[] {
  if (seen.has(method.path)) return [];
  seen.add(method.path);
  const text = commentOf(method.desc);
  const named = [...(text.match(/\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b/g) ?? [])].filter((word): word is Reason =>
    isReason(word),
  );
  const borrowed = [...text.matchAll(/\bas ([A-Z][A-Za-z]+) does/g)].flatMap((one) =>
    methods.filter((other) => other.name === one[1]).flatMap((other) => documented(other, methods, seen)),
  );
  return [...named, ...borrowed];
}
