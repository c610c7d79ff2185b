import { expect, test } from 'vitest'
import { parseVariants, type VariantName } from './variant.ts'

const KNOWN: readonly VariantName[] = ['kafka', 'millrace-cached', 'millrace']

test('the variants that are named are measured, in that order and each once', () => {
  expect(parseVariants('millrace,kafka', KNOWN)).toEqual(['millrace', 'kafka'])
  expect(parseVariants('kafka, millrace,kafka', KNOWN)).toEqual(['kafka', 'millrace'])
})

test('a name that is not known is refused with those that are, also beside one that is known', () => {
  const known = 'known: kafka, millrace-cached, millrace'
  expect(() => parseVariants('kafka,mill', KNOWN)).toThrow(`--variants: unknown: "mill"; ${known}`)
  // Known elsewhere, and not measured here.
  expect(() => parseVariants('kafka-flush,,kafka', KNOWN)).toThrow(`--variants: unknown: "kafka-flush", ""; ${known}`)
  expect(() => parseVariants('constructor', KNOWN)).toThrow('unknown: "constructor"')
})
