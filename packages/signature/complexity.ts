import type { SignatureSpec, Type } from './types.ts';

/**
 * How heavy a signature is: the sum of its fields' weights, rounded up. Text, numbers, `Any`, `None` and literals weigh 1,
 * a truth value 0.5, a list, set or tuple 2 and its heaviest item, a dict 3, an ML type 2, a union its heaviest member.
 */
export function complexityOf(spec: SignatureSpec): number {
  const sum = [...spec.inputs, ...spec.outputs].reduce((total, field) => total + weightOf(field.type), 0);
  return Math.ceil(sum);
}

function weightOf(type: Type): number {
  switch (type.kind) {
    case 'bool':
      return 0.5;
    case 'list':
    case 'set':
    case 'tuple_variadic':
      return 2 + (type.item ? weightOf(type.item) : 1);
    case 'tuple':
      return 2 + Math.max(...type.items.map(weightOf));
    case 'dict':
      return 3;
    case 'union':
      return Math.max(...type.members.map(weightOf));
    case 'embedding':
    case 'probability':
    case 'tensor':
      return 2;
    default:
      return 1;
  }
}
