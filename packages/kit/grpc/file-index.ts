import type { DescriptorProto, FieldDescriptorProto, FileDescriptorProto } from '@bufbuild/protobuf/wkt';

/** A proto file as its compiler describes it. */
export type FileProto = FileDescriptorProto;

/** Finds the proto files behind some services by what they declare. Names are full, without a leading dot. */
export type FileIndex = {
  readonly services: readonly string[];
  byName(name: string): FileProto | undefined;
  bySymbol(symbol: string): FileProto | undefined;
  byExtension(type: string, number: number): FileProto | undefined;
  /** The numbers of a type's extensions; undefined for a type that is not here. */
  extensionNumbers(type: string): number[] | undefined;
  /** A file and all that it imports, itself first. */
  closure(file: FileProto): FileProto[];
};

/** Indexes the files that declare some services, `besides` by their names, and all that these import; the others are left out. */
export function createFileIndex(
  all: readonly FileProto[],
  services: readonly string[],
  besides: readonly string[] = [],
): FileIndex {
  const known = new Map(all.map((file) => [file.name, file]));
  const closure = (file: FileProto): FileProto[] => {
    const seen = new Set([file]);
    for (const one of seen) {
      for (const name of one.dependency) {
        const needed = known.get(name);
        if (needed !== undefined) seen.add(needed);
      }
    }
    return [...seen];
  };
  const roots = all.filter(
    (file) =>
      besides.includes(file.name) || file.service.some(({ name }) => services.includes(qualified(file.package, name))),
  );
  const shown = new Map(roots.flatMap(closure).map((file) => [file.name, file]));
  const symbols = new Map(
    [...shown.values()].flatMap((file) => symbolsOf(file).map((symbol) => [symbol, file] as const)),
  );
  const extensions = [...shown.values()].flatMap((file) =>
    file.extension.map((extension) => ({
      file,
      type: extension.extendee.replace(/^\./, ''),
      number: extension.number,
    })),
  );
  return {
    services,
    closure,
    byName: (name) => shown.get(name),
    bySymbol: (symbol) => symbols.get(symbol),
    byExtension: (type, number) => extensions.find((one) => one.type === type && one.number === number)?.file,
    extensionNumbers: (type) =>
      symbols.has(type) ? extensions.filter((one) => one.type === type).map(({ number }) => number) : undefined,
  };
}

/**
 * Makes of a description made at run time what a compiler would have written: full names in every reference to a type of that file, and
 * its names of map entries, which clients check. Changes its argument.
 */
export function completeFile(file: FileProto): FileProto {
  for (const message of file.messageType) nameMapEntries(message);
  const own = new Set(symbolsOf(file));
  const qualify = (field: FieldDescriptorProto, scope: string): void => {
    if (field.typeName === '' || field.typeName.startsWith('.')) return;
    for (let around = scope; around !== ''; around = around.slice(0, Math.max(0, around.lastIndexOf('.')))) {
      if (!own.has(`${around}.${field.typeName}`)) continue;
      field.typeName = `.${around}.${field.typeName}`;
      return;
    }
  };
  const visit = (message: DescriptorProto, scope: string): void => {
    const name = qualified(scope, message.name);
    for (const field of message.field) qualify(field, name);
    for (const nested of message.nestedType) visit(nested, name);
  };
  for (const message of file.messageType) visit(message, file.package);
  return file;
}

function nameMapEntries(message: DescriptorProto): void {
  for (const field of message.field) {
    const entry = message.nestedType.find(({ name, options }) => options?.mapEntry === true && name === field.typeName);
    if (entry === undefined) continue;
    const camel = field.name.replace(/(?:^|_)([a-z0-9])/g, (_all, letter: string) => letter.toUpperCase());
    entry.name = `${camel}Entry`;
    field.typeName = entry.name;
  }
  for (const nested of message.nestedType) nameMapEntries(nested);
}

function symbolsOf(file: FileProto): string[] {
  const within = (messages: readonly DescriptorProto[], scope: string): string[] =>
    messages.flatMap((message) => {
      const name = qualified(scope, message.name);
      const members = [...message.field, ...message.enumType].map((member) => `${name}.${member.name}`);
      return [name, ...members, ...within(message.nestedType, name)];
    });
  const services = file.service.flatMap((service) => {
    const name = qualified(file.package, service.name);
    return [name, ...service.method.map((method) => `${name}.${method.name}`)];
  });
  const rest = [...file.enumType, ...file.extension].map(({ name }) => qualified(file.package, name));
  return [...services, ...rest, ...within(file.messageType, file.package)];
}

function qualified(scope: string, name: string): string {
  return scope === '' ? name : `${scope}.${name}`;
}
