import { SeededRandom } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { isDocumentedReason } from './close-reasons.ts'
import { healthRequest, httpAttack, httpComplaint } from './http-attacks.ts'
import { bytesAfterGc, heldMsOf, MAX_STALL_MS, StallWatch } from './stall-watch.ts'

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
  const hold = (ms: number): void => {
    const cpu = process.threadCpuUsage()
    for (;;) {
      const { user, system } = process.threadCpuUsage(cpu)
      if (user + system >= ms * 1000) return
    }
  }

  test('finds a turn that holds the loop, and none where it was only waited', async () => {
    const watch = new StallWatch()
    try {
      expect(await watch.turn(() => undefined)).toBeLessThan(MAX_STALL_MS)
      const held = await watch.turn(() => hold(2 * MAX_STALL_MS))
      expect(held).toBeGreaterThan(MAX_STALL_MS)
      expect(watch.longestMs).toBe(held)
      expect(watch.account).toMatch(
        /^of \d{3,} ms \d{3,} of the processor, \d+ of them in the system, \d+ waiting for it, \d+ young and \d+ full/,
      )
      const waited = await watch.turn(() => {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * MAX_STALL_MS)
      })
      expect(waited).toBeLessThan(MAX_STALL_MS)
    } finally {
      watch.stop()
    }
  })

  test('tells the processor time of a turn as it is, however slow the machine, without what goes on elsewhere', async () => {
    // A machine that gives the thread away half of the time, and does whatever is measured beside the turn ever more slowly.
    let cpuMs = 0
    let callMs = 0
    const watch = new StallWatch({
      cpuMs: () => (cpuMs += callMs++ / 1000),
      nowMs: () => 2 * cpuMs - 1e9,
      systemMs: () => 0,
      waitedMs: () => cpuMs,
    })
    try {
      const held = await watch.turn(() => {
        cpuMs += 180
        watch.elsewhere(() => {
          cpuMs += 500
        })
      })
      expect(held).toBeCloseTo(180, 0)
      expect(watch.longestMs).toBe(held)
    } finally {
      watch.stop()
    }
  })

  test('judges also the turns in which it waits to be told of collections', async () => {
    const watch = new StallWatch()
    try {
      const held = await watch.turn(() => {
        hold(MAX_STALL_MS + 5)
        setImmediate(() => hold(3 * MAX_STALL_MS))
      })
      expect(held).toBeGreaterThan(2.9 * MAX_STALL_MS)
    } finally {
      watch.stop()
    }
  })

  test('takes full collections off, and of the rest the share that was waited for a core', () => {
    const turn = {
      startMs: 1000,
      endMs: 1400,
      cpuMs: 200,
      systemMs: 0,
      waitedMs: 0,
      elsewhere: [{ startMs: 1300, endMs: 1400 }],
    }
    expect(heldMsOf(turn, [])).toBe(200)
    expect(heldMsOf(turn, [{ startMs: 500, endMs: 999 }])).toBe(200)
    // The thread waited for its helpers, in the collection.
    expect(heldMsOf(turn, [{ startMs: 800, endMs: 1150 }])).toBe(150)
    expect(heldMsOf(turn, [{ startMs: 1150, endMs: 1400 }])).toBe(150)
    expect(heldMsOf({ ...turn, waitedMs: 100 }, [{ startMs: 1150, endMs: 1400 }])).toBe(100)
    expect(heldMsOf(turn, [{ startMs: 900, endMs: 1500 }])).toBe(0)
    // No more than the processor time in any case.
    expect(heldMsOf({ ...turn, cpuMs: 20 }, [{ startMs: 1150, endMs: 1400 }])).toBe(20)
  })

  test('a turn with a full collection is that much shorter', async () => {
    const watch = new StallWatch()
    try {
      const kept = Array.from({ length: 1_000_000 }, (_, number) => ({ number }))
      const cpu = process.threadCpuUsage()
      let usedMs = 0
      const held = await watch.turn(() => {
        bytesAfterGc()
        hold(30)
        const { user, system } = process.threadCpuUsage(cpu)
        usedMs = (user + system) / 1000
      })
      expect(kept).toHaveLength(1_000_000)
      // About: a thread that waits for a core does so here or there.
      expect(held).toBeGreaterThan(5)
      expect(held).toBeLessThan(usedMs)
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
