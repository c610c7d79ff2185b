import { test } from 'vitest'
import { crc32c, crc32cByTable } from './crc32c.ts'
import { nativeCrc32c } from './native-crc32c.ts'

/** Calls per sample, so that the harness's own cost does not hide a call of 100 ns. */
const CALL_COUNT = 100

// 110 bytes: a batch of one small record from its attributes on; 320: from there on the native version is chosen.
for (const sizeBytes of [110, 170, 320, 512, 1024, 16 * 1024]) {
  test(`${CALL_COUNT} times CRC-32C of ${sizeBytes} bytes`, async ({ bench, skip }) => {
    const bytes = Buffer.alloc(sizeBytes + 64, 'some record value ')
    const end = 21 + sizeBytes
    const native = nativeCrc32c()
    const chosen = crc32c // local copies: the runner's export getters would be measured too
    const byTable = crc32cByTable
    if (native === null) return skip('no native version on this platform')
    await bench.compare(
      bench('chosen', () => {
        for (let call = 0; call < CALL_COUNT; call++) chosen(bytes, 21, end)
      }),
      bench('by table', () => {
        for (let call = 0; call < CALL_COUNT; call++) byTable(0, bytes, 21, end)
      }),
      bench('native', () => {
        for (let call = 0; call < CALL_COUNT; call++) native(bytes.subarray(21, end), 0)
      }),
    )
  })
}
