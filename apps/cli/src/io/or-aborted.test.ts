import { expect, test } from 'vitest'
import { orAborted } from './or-aborted.ts'

test('gives what the promise gives while nothing aborts', async () => {
  const { signal } = new AbortController()
  expect(await orAborted(Promise.resolve(7), signal)).toBe(7)
  await expect(orAborted(Promise.reject(new Error('no')), signal)).rejects.toThrow('no')
})

test('gives null when the signal aborts, and the late failure of the promise reaches nobody', async () => {
  const ending = new AbortController()
  const late = Promise.withResolvers<number>()
  const waiting = orAborted(late.promise, ending.signal)
  ending.abort()
  expect(await waiting).toBeNull()
  late.reject(new Error('closed'))
  expect(await orAborted(new Promise<number>(() => undefined), ending.signal)).toBeNull()
})
