import { SeededRandom } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { isDocumentedReason } from './close-reasons.ts'
import { healthRequest, httpAttack, httpComplaint } from './http-attacks.ts'
import { MAX_STALL_MS, StallWatch } from './stall-watch.ts'

describe('the reason of a close', () => {
  test('is one of the documented ones, if the client sent something wrong', () => {
    expect(isDocumentedReason('Fetch version 12: 3 bytes left after the message', false)).toBe(true)
    expect(isDocumentedReason('frame of -1 bytes; allowed are 8 to 104857600 (socket.request.max.bytes)', false)).toBe(
      true,
    )
    expect(isDocumentedReason('API key 9999 version 0 is not served', false)).toBe(true)
    expect(isDocumentedReason("Cannot read properties of undefined (reading 'x')", false)).toBe(false)
  })

  test('is none for who sent nothing wrong, unless the answer cannot be written', () => {
    expect(isDocumentedReason('Fetch version 12: 3 bytes left after the message', true)).toBe(false)
    expect(isDocumentedReason('A string of 33000 bytes cannot be sent: at most 32767 are allowed', true)).toBe(true)
  })
})

describe('the watch over stalls', () => {
  test('finds a turn that holds the loop, and none where it was only waited', async () => {
    const watch = new StallWatch()
    try {
      expect(await watch.turn(() => undefined)).toBeLessThan(MAX_STALL_MS)
      const held = await watch.turn(() => {
        const cpu = process.threadCpuUsage()
        let used = 0
        while (used < 2 * MAX_STALL_MS * 1000) {
          const { user, system } = process.threadCpuUsage(cpu)
          used = user + system
        }
      })
      expect(held).toBeGreaterThan(MAX_STALL_MS)
      expect(watch.longestMs).toBe(held)
      const waited = await watch.turn(() => {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * MAX_STALL_MS)
      })
      expect(waited).toBeLessThan(MAX_STALL_MS)
    } finally {
      watch.stop()
    }
  })
})

describe('HTTP', () => {
  test('answers to hidden requests are found, and answers that are none', () => {
    const attacks = Array.from({ length: 200 }, (_, seed) => httpAttack(new SeededRandom(seed)))
    const hiding = attacks.find(({ hidesRequest }) => hidesRequest)!
    expect(hiding.bytes.toString()).toContain('GET /healthz')
    expect(httpComplaint(hiding, 'HTTP/1.1 200 OK\r\n\r\n{"status":"ok"}')).not.toBeNull()
    expect(httpComplaint(hiding, 'HTTP/1.1 400 Bad Request\r\n\r\n')).toBeNull()
    expect(httpComplaint(hiding, '')).toBeNull()
    expect(httpComplaint(hiding, '\u0000\u0000\u0000\u0004')).not.toBeNull()
    expect(httpComplaint(healthRequest, 'HTTP/1.1 200 OK\r\n\r\n{"status":"ok"}')).toBeNull()
    expect(httpComplaint(healthRequest, 'HTTP/1.1 200 OK\r\n\r\n{"state":"ok"}')).not.toBeNull()
    expect(httpComplaint(healthRequest, '')).not.toBeNull()
  })
})
