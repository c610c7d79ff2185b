import fc from 'fast-check'
import { expect, test } from 'vitest'
import { LinearPattern, PatternError } from './linear-pattern.ts'

/** Patterns that mean the same to JavaScript. */
const atom = fc.oneof(
  fc.constantFrom(
    'a',
    'b',
    '-',
    '.',
    '\\d',
    '\\W',
    '\\s',
    '\\.',
    '[ab]',
    '[^a]',
    '[a-c-]',
    '[\\d_]',
    '[]b]'.replace(']b', 'b'),
  ),
  fc.constantFrom('^', '$'),
)
const pattern = fc.letrec<{ pattern: string; sequence: string; part: string }>((tie) => ({
  pattern: fc.oneof(
    tie('sequence'),
    fc.tuple(tie('sequence'), tie('sequence')).map(([a, b]) => `${a}|${b}`),
  ),
  sequence: fc.array(tie('part'), { maxLength: 4 }).map((parts) => parts.join('')),
  part: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    atom,
    fc
      .tuple(
        fc.constantFrom('a', 'b', '\\d', '.', '[ab]'),
        fc.constantFrom('*', '+', '?', '{2}', '{1,2}', '{0,}', '*?', '{1}?'),
      )
      .map((pair) => pair.join('')),
    tie('pattern').map((inner) => `(${inner})`),
    tie('pattern').map((inner) => `(?:${inner})?`),
  ),
})).pattern
const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '-', '.', '1', '_', ' ', '\n'), maxLength: 8 })

test('matches whole texts as JavaScript does', () => {
  fc.assert(
    fc.property(pattern, text, (source, subject) => {
      expect(new LinearPattern(source).matches(subject)).toBe(new RegExp(`^(?:${source})$`).test(subject))
    }),
    { numRuns: 1_000 },
  )
})

test('what it does not know, or is too large, is refused', () => {
  for (const source of ['(', ')', '[', 'a**', '*', '\\', '\\b', '(?=a)', 'a{3,2}', '[b-a]', '(a{100}){100}', '(?i)a']) {
    expect(() => new LinearPattern(source), source).toThrow(PatternError)
  }
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'()[]{}|*+?\\^$.-a0,'), maxLength: 12 }), (source) => {
      try {
        new LinearPattern(source).matches('aaaaa')
      } catch (error) {
        expect(error).toBeInstanceOf(PatternError)
      }
    }),
    { numRuns: 1_000 },
  )
})

test('takes no longer for patterns that take for ever elsewhere', () => {
  const startMs = performance.now()
  expect(new LinearPattern('(a|a)*(a*)*(a+)+b').matches('a'.repeat(5_000))).toBe(false)
  expect(performance.now() - startMs).toBeLessThan(2_000)
})
