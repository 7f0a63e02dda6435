import type { DescEnum, DescField, DescMessage, DescMethod, DescService } from '@bufbuild/protobuf';

type Commented = DescMessage | DescField | DescEnum | DescEnum['values'][number] | DescService | DescMethod;

const byFile = new WeakMap<object, Map<string, string>>();

/** The comment that stands before an element in its proto file, as one text; empty if there is none. */
export function commentOf(desc: Commented): string {
  const file = fileOf(desc);
  let comments = byFile.get(file);
  if (comments === undefined) {
    comments = new Map();
    for (const location of file.proto.sourceCodeInfo?.location ?? []) {
      const text = location.leadingComments.trim();
      if (text !== '') comments.set(location.path.join('.'), unwrap(text));
    }
    byFile.set(file, comments);
  }
  return comments.get(sourcePath(desc).join('.')) ?? '';
}

function fileOf(desc: Commented): DescMessage['file'] {
  if (desc.kind === 'field' || desc.kind === 'rpc' || desc.kind === 'enum_value') return desc.parent!.file;
  return desc.file;
}

// The numbers are those of FileDescriptorProto, DescriptorProto and so on: how source positions name an element.
function sourcePath(desc: Commented): number[] {
  switch (desc.kind) {
    case 'message':
      return desc.parent === undefined
        ? [4, desc.file.proto.messageType.indexOf(desc.proto)]
        : [...sourcePath(desc.parent), 3, desc.parent.proto.nestedType.indexOf(desc.proto)];
    case 'field':
      return [...sourcePath(desc.parent), 2, desc.parent.proto.field.indexOf(desc.proto)];
    case 'enum':
      return desc.parent === undefined
        ? [5, desc.file.proto.enumType.indexOf(desc.proto)]
        : [...sourcePath(desc.parent), 4, desc.parent.proto.enumType.indexOf(desc.proto)];
    case 'enum_value':
      return [...sourcePath(desc.parent), 2, desc.parent.proto.value.indexOf(desc.proto)];
    case 'service':
      return [6, desc.file.proto.service.indexOf(desc.proto)];
    case 'rpc':
      return [...sourcePath(desc.parent), 2, desc.parent.proto.method.indexOf(desc.proto)];
  }
}

// Comments are wrapped for their file; paragraphs stay apart.
function unwrap(text: string): string {
  return text
    .split(/\n\s*\n/)
    .map((paragraph) =>
      paragraph
        .split('\n')
        .map((line) => line.trim())
        .join(' '),
    )
    .join('\n\n');
}
