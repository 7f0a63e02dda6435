import type { LiteralMember, Type } from '@signet/signature/types.ts';

/**
 * True if values of one type can be given where another one is asked for. What no type tells (`Any`) is left to the check of the run, and
 * so are bounds, lengths and which member of a `Literal` it is.
 */
export function fits(from: Type, to: Type): boolean {
  if (from.kind === 'any' || to.kind === 'any') return true;
  if (from.kind === 'union') return from.members.every((member) => fits(member, to));
  if (to.kind === 'union') return to.members.some((member) => fits(from, member));
  if (from.kind === 'literal') return from.members.every((member) => fits(typeOfMember(member), to));
  switch (to.kind) {
    case 'literal':
      return to.members.some((member) => typeOfMember(member).kind === from.kind);
    case 'float':
    case 'probability':
      return from.kind === 'float' || from.kind === 'int' || from.kind === 'probability';
    case 'list':
    case 'set':
    case 'tuple_variadic':
      return itemsOf(from).every((item) => fits(item, to.item ?? anyType)) && isSequence(from);
    case 'tuple':
      if (from.kind === 'tuple') {
        return from.items.length === to.items.length && from.items.every((item, index) => fits(item, to.items[index]!));
      }
      return isSequence(from) && to.items.every((item) => itemsOf(from).every((given) => fits(given, item)));
    case 'dict':
      return from.kind === 'dict' && fits(from.value ?? anyType, to.value ?? anyType);
    case 'embedding':
      if (from.kind === 'embedding') return !(from.dimension && to.dimension) || from.dimension === to.dimension;
      return isSequence(from) && itemsOf(from).every((item) => fits(item, floatType));
    case 'tensor':
      return from.kind === 'tensor' || from.kind === 'dict' || isSequence(from);
    default:
      return from.kind === to.kind;
  }
}

/** The type of anything. */
export const anyType: Type = { kind: 'any' };

const floatType: Type = { kind: 'float' };

function isSequence(type: Type): boolean {
  return ['list', 'set', 'tuple', 'tuple_variadic', 'embedding', 'tensor'].includes(type.kind);
}

function itemsOf(type: Type): readonly Type[] {
  if (type.kind === 'tuple') return type.items;
  if (type.kind === 'list' || type.kind === 'set' || type.kind === 'tuple_variadic') return [type.item ?? anyType];
  return type.kind === 'embedding' ? [floatType] : [];
}

function typeOfMember(member: LiteralMember): Type {
  if (member === null) return { kind: 'none' };
  if (typeof member === 'string') return { kind: 'str' };
  return { kind: typeof member === 'boolean' ? 'bool' : 'int' };
}
