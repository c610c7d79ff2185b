/**
 * Checks of values that `JSON.parse` gave, before their types are believed. A shape says yes or no; objects must have exactly the
 * fields that are named, so that a newer form is noticed and not half understood.
 */
export type Shape = (value: unknown) => boolean

export const isBoolean: Shape = (value) => typeof value === 'boolean'

export const isInteger: Shape = (value) => Number.isSafeInteger(value)

/** An int32, as the protocol's ids, epochs and counts are. */
export const isInt32: Shape = (value) => Number.isInteger(value) && value === ((value as number) | 0)

export const isNumber: Shape = (value) => Number.isFinite(value)

export const isString: Shape = (value) => typeof value === 'string'

/** Sixteen bytes in Kafka's text form. */
export const isUuid: Shape = (value) => typeof value === 'string' && /^[\w-]{22}$/.test(value)

export const isNull: Shape = (value) => value === null

export function nullOr(shape: Shape): Shape {
  return (value) => value === null || shape(value)
}

export function oneOf(...values: readonly (string | number)[]): Shape {
  return (value) => values.includes(value as string | number)
}

export function listOf(shape: Shape): Shape {
  return (value) => Array.isArray(value) && value.every(shape)
}

/** An array with exactly these items. */
export function tupleOf(...shapes: readonly Shape[]): Shape {
  return (value) =>
    Array.isArray(value) && value.length === shapes.length && shapes.every((shape, slot) => shape(value[slot]))
}

/** An object used as a map from any name. */
export function mapOf(shape: Shape): Shape {
  return (value) => isPlainObject(value) && Object.values(value).every(shape)
}

/** Exactly the fields of `required`, and any of `optional`. */
export function objectOf(required: Record<string, Shape>, optional: Record<string, Shape> = {}): Shape {
  const requiredNames = Object.keys(required)
  return (value) => {
    if (!isPlainObject(value)) return false
    let requiredCount = 0
    for (const [name, field] of Object.entries(value)) {
      const isRequired = Object.hasOwn(required, name)
      if (!isRequired && !Object.hasOwn(optional, name)) return false
      if (!(isRequired ? required : optional)[name]!(field)) return false
      if (isRequired) requiredCount++
    }
    return requiredCount === requiredNames.length
  }
}

/** At least these fields, and optional ones that nodes of before do not know; others are not looked at. */
export function objectWith(required: Record<string, Shape>, optional: Record<string, Shape> = {}): Shape {
  const fields = Object.entries(required)
  const others = Object.entries(optional)
  return (value) =>
    isPlainObject(value) &&
    fields.every(([name, shape]) => Object.hasOwn(value, name) && shape(value[name])) &&
    others.every(([name, shape]) => !Object.hasOwn(value, name) || shape(value[name]))
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
