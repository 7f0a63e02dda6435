/** What a method is called on the command line: `programs create`, or one word where it belongs to no collection. */
export type VerbName = {
  /** The collection, such as `programs`; undefined for a command of its own. */
  readonly noun?: string;
  readonly verb: string;
  /** Fields of the request that are given by place, as they stand in the route. */
  readonly positionals: readonly string[];
};

/** Names a method by its route, or by its own name where it has none. */
export function nameVerb(method: string, route: { method: string; template: string } | undefined): VerbName {
  if (route === undefined) return { verb: kebab(method), positionals: [] };
  const positionals = [...route.template.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '');
  const [path = '', custom] = route.template.replace(/^\/v\d+\//, '').split(':');
  const segments = path.split('/');
  const noun = kebab(segments[0] ?? '');
  const doing = kebab(method).split('-')[0] ?? '';
  if (custom !== undefined) return { noun, verb: kebab(custom), positionals };
  const last = segments.at(-1) ?? '';
  if (segments.length === 1) {
    const isOfCollection = ['list', 'create', 'register'].includes(doing);
    return isOfCollection ? { noun, verb: doing, positionals } : { verb: noun, positionals };
  }
  if (segments.length === 2) return { noun, verb: doing, positionals };
  if (last.startsWith('{')) return { noun, verb: `${doing}-${last.slice(1, -1).replaceAll('_', '-')}`, positionals };
  return { noun, verb: route.method === 'get' ? kebab(last) : `${doing}-${kebab(last)}`, positionals };
}

/** `languageModels` and `ListFieldTypes` as the command line writes them: `language-models`, `list-field-types`. */
export function kebab(name: string): string {
  return name
    .replaceAll('_', '-')
    .replace(/([a-z0-9])([A-Z])/g, '$1-$2')
    .toLowerCase();
}
