import type { PythonValue } from '../python/value.ts';

/** What pydantic says of a value: it does not fit, or this package does not know. */
export const UNFIT = Symbol('unfit');
/** See UNFIT. */
export const DOUBT = Symbol('doubt');

/** A value brought to a type; or UNFIT; or DOUBT. */
export type Coerced = PythonValue | typeof UNFIT | typeof DOUBT;

/** How near a value was to its type: 0 exactly of it, 1 as strict mode takes it, 2 as lax mode does. */
export interface Nearness {
  level: 0 | 1 | 2;
}

/** Brings a value to a type as pydantic's lax mode does; makes `near.level` worse, never better. */
export type Coerce = (value: PythonValue, near: Nearness) => Coerced;
