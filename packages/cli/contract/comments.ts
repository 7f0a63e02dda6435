import type { DescEnum, DescField, DescMessage, DescMethod } from '@bufbuild/protobuf';

type Commented = DescMessage | DescField | DescEnum['values'][number] | DescMethod;

const byFile = new WeakMap<object, Map<string, string>>();

/** The comment that stands before an element in its proto file, unwrapped; empty if there is none. */
export function commentOf(desc: Commented): string {
  const file = desc.kind === 'message' ? desc.file : desc.parent!.file;
  let comments = byFile.get(file);
  if (comments === undefined) {
    const located = file.proto.sourceCodeInfo?.location ?? [];
    comments = new Map(located.map(({ path, leadingComments }) => [path.join('.'), leadingComments]));
    byFile.set(file, comments);
  }
  const text = comments.get(placeOf(desc).join('.')) ?? '';
  return text
    .split(/\n\s*\n/)
    .map((paragraph) => paragraph.trim().replace(/\s*\n\s*/g, ' '))
    .join('\n\n')
    .trim();
}

/** The first sentence of a text, without its full stop; for lists. */
export function firstSentence(text: string): string {
  const [sentence = ''] = text.split(/(?<=[.;:])\s/, 1);
  return sentence.replace(/[.;:]$/, '');
}

// The numbers are those of FileDescriptorProto and its parts: how source positions name an element.
function placeOf(desc: Commented): number[] {
  if (desc.kind === 'message') {
    return desc.parent === undefined
      ? [4, desc.file.proto.messageType.indexOf(desc.proto)]
      : [...placeOf(desc.parent), 3, desc.parent.proto.nestedType.indexOf(desc.proto)];
  }
  if (desc.kind === 'field') return [...placeOf(desc.parent), 2, desc.parent.proto.field.indexOf(desc.proto)];
  if (desc.kind === 'rpc') {
    return [
      6,
      desc.parent.file.proto.service.indexOf(desc.parent.proto),
      2,
      desc.parent.proto.method.indexOf(desc.proto),
    ];
  }
  return [
    5,
    desc.parent.file.proto.enumType.indexOf(desc.parent.proto),
    2,
    desc.parent.proto.value.indexOf(desc.proto),
  ];
}
