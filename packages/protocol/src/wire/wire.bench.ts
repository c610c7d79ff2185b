import { createRequire } from 'node:module'
import type { Uuid } from '@millrace/base'
import { test } from 'vitest'
import type * as Protocol from '../index.ts'

/** Loaded by Node itself: the runner's own loader puts a getter before every import. */
const { Reader, Writer } = createRequire(import.meta.url)('../index.ts') as typeof Protocol

/** Calls per sample, so that the harness's own cost does not hide a call of 20 ns. */
const CALL_COUNT = 1000

// 32 bytes is the longest text that the reader remembers, 48 the longest that the writer tries as ASCII.
for (const length of [8, 24, 32, 48, 64]) {
  const text = 'topic-name-'.repeat(8).slice(0, length)
  test(`${CALL_COUNT} texts of ${length} characters`, async ({ bench }) => {
    const writer = new Writer(256)
    writer.compactString(text)
    const bytes = Buffer.from(writer.toBuffer())
    const reader = new Reader(bytes)
    const target = Buffer.alloc(256)
    await bench.compare(
      bench('reader', () => {
        for (let call = 0; call < CALL_COUNT; call++) reader.reset(bytes).compactString()
      }),
      bench('native decoding', () => {
        for (let call = 0; call < CALL_COUNT; call++) bytes.toString('utf8', 1, bytes.length)
      }),
      bench('writer', () => {
        for (let call = 0; call < CALL_COUNT; call++) {
          writer.reset()
          writer.compactString(text)
        }
      }),
      bench('native encoding', () => {
        for (let call = 0; call < CALL_COUNT; call++) target.write(text, 1, Buffer.byteLength(text), 'utf8')
      }),
    )
  })
}

test(`${CALL_COUNT} UUIDs`, async ({ bench }) => {
  const text = 'u4m06_XsZMyEs9R_pjJtjg' as Uuid
  const bytes = Buffer.from(text, 'base64url')
  const reader = new Reader(bytes)
  const writer = new Writer(256)
  const target = Buffer.alloc(256)
  await bench.compare(
    bench('reader', () => {
      for (let call = 0; call < CALL_COUNT; call++) reader.reset(bytes).uuid()
    }),
    bench('native decoding', () => {
      for (let call = 0; call < CALL_COUNT; call++) bytes.toString('base64url')
    }),
    bench('writer', () => {
      for (let call = 0; call < CALL_COUNT; call++) {
        writer.reset()
        writer.uuid(text)
      }
    }),
    bench('native encoding', () => {
      for (let call = 0; call < CALL_COUNT; call++) target.write(text, 0, 16, 'base64url')
    }),
  )
})
