import { AppError, invalidField } from '@signet/kit/error/app-error.ts';
import type { HttpBinding, PublicMethod } from '../contract/public-methods.ts';

/** One way in: an HTTP method and a path that lead to a public method. */
export type Route = {
  readonly method: PublicMethod;
  readonly binding: HttpBinding;
  /** Names of the path's variables in order, in proto spelling. */
  readonly variables: readonly string[];
  /** `POST /v1/programs/{program}:execute`. */
  readonly label: string;
};

/** A route with the values that its path had, percent-decoded once. */
export type Match = { readonly route: Route; readonly params: Readonly<Record<string, string>> };

/** Finds the route of a request. */
export type Matcher = {
  /** Throws ROUTE_NOT_FOUND, or METHOD_NOT_ALLOWED with `allow` in its metadata. `path` is the raw path without query. */
  match(httpMethod: string, path: string): Match;
  /** The HTTP methods that a path takes, HEAD and OPTIONS included; empty if there is no such path. */
  allowed(path: string): readonly string[];
  readonly routes: readonly Route[];
};

type Node = {
  readonly literals: Map<string, Node>;
  variable: Node | undefined;
  /** By verb (empty for none), then by HTTP method. */
  readonly ends: Map<string, Map<string, Route>>;
};

/** Builds a matcher out of the annotations; throws if two of them want the same requests. */
export function createMatcher(methods: readonly PublicMethod[]): Matcher {
  const root = newNode();
  const routes: Route[] = [];
  for (const method of methods) {
    for (const binding of method.bindings) {
      const route = addRoute(root, method, binding);
      routes.push(route);
    }
  }
  const find = (path: string): { ends: Map<string, Route>; values: string[] } | undefined => {
    if (!path.startsWith('/')) return undefined;
    const segments = path.slice(1).split('/');
    const last = segments.pop()!;
    const colon = last.lastIndexOf(':');
    const verb = colon < 0 ? '' : last.slice(colon + 1);
    segments.push(colon < 0 ? last : last.slice(0, colon));
    // `/v1/programs/qa:` has a colon and no verb.
    if (colon >= 0 && verb === '') return undefined;
    return walk(root, segments, 0, verb, []);
  };
  return {
    routes,
    match(httpMethod, path) {
      const found = find(path);
      if (found === undefined) throw routeNotFound(path);
      const route = found.ends.get(httpMethod === 'HEAD' ? 'GET' : httpMethod);
      if (route === undefined || (httpMethod === 'HEAD' && route.method.streams)) {
        const allow = allowOf(found.ends).join(', ');
        throw new AppError('METHOD_NOT_ALLOWED', `This path takes ${allow}`, { metadata: { allow } });
      }
      const params: Record<string, string> = {};
      route.variables.forEach((name, index) => {
        params[name] = decode(found.values[index]!, name);
      });
      return { route, params };
    },
    allowed(path) {
      const found = find(path);
      return found === undefined ? [] : allowOf(found.ends);
    },
  };
}

/** The refusal of a path that leads nowhere. */
export function routeNotFound(path: string): AppError {
  const shown = path.length > 200 ? `${path.slice(0, 200)}…` : path;
  return new AppError('ROUTE_NOT_FOUND', 'There is nothing at this path', { metadata: { path: shown } });
}

function newNode(): Node {
  return { literals: new Map(), variable: undefined, ends: new Map() };
}

function addRoute(root: Node, method: PublicMethod, binding: HttpBinding): Route {
  const match = /^(.*?)(?::([A-Za-z]+))?$/.exec(binding.template)!;
  const verb = match[2] ?? '';
  const variables: string[] = [];
  let node = root;
  for (const segment of match[1]!.slice(1).split('/')) {
    const variable = /^\{([a-z_]+)\}$/.exec(segment)?.[1];
    if (variable === undefined) {
      let next = node.literals.get(segment);
      if (next === undefined) {
        next = newNode();
        node.literals.set(segment, next);
      }
      node = next;
    } else {
      variables.push(variable);
      node.variable ??= newNode();
      node = node.variable;
    }
  }
  const ends = node.ends.get(verb) ?? new Map<string, Route>();
  node.ends.set(verb, ends);
  const label = `${binding.httpMethod} ${binding.template}`;
  if (ends.has(binding.httpMethod)) throw new Error(`two methods want ${label}`);
  const route = { method, binding, variables, label };
  ends.set(binding.httpMethod, route);
  return route;
}

// Literal segments win over variables, at each depth.
function walk(
  node: Node,
  segments: readonly string[],
  depth: number,
  verb: string,
  values: string[],
): { ends: Map<string, Route>; values: string[] } | undefined {
  if (depth === segments.length) {
    const ends = node.ends.get(verb);
    return ends === undefined ? undefined : { ends, values };
  }
  const segment = segments[depth]!;
  const literal = node.literals.get(segment);
  const found = literal === undefined ? undefined : walk(literal, segments, depth + 1, verb, values);
  if (found !== undefined || node.variable === undefined || segment === '') return found;
  return walk(node.variable, segments, depth + 1, verb, [...values, segment]);
}

function allowOf(ends: ReadonlyMap<string, Route>): string[] {
  const methods = [...ends.keys()];
  if (ends.get('GET')?.method.streams === false) methods.push('HEAD');
  return [...methods, 'OPTIONS'];
}

function decode(value: string, name: string): string {
  if (!value.includes('%')) return value;
  try {
    return decodeURIComponent(value);
  } catch {
    throw invalidField(name, 'is not percent-encoded UTF-8', 'TEXT_INVALID');
  }
}
