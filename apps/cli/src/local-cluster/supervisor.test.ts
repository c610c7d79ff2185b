import { once } from 'node:events'
import { join } from 'node:path'
import { RealTimers, SimulatedClock, SimulatedTimers } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import type { NodeCommand } from './node-process.ts'
import { Supervisor } from './supervisor.ts'

/** Method: real processes of a small program, since ends, signals and pipes are what a supervisor is about. */

type Behaviour = 'serve' | 'stubborn' | 'broken'

function commandOf(behaviour: Behaviour): NodeCommand {
  const program = join(import.meta.dirname, 'testing/fake-node.ts')
  return { file: process.execPath, args: [program, behaviour], environment: {} }
}

class Listener {
  readonly outLines: string[] = []
  readonly logLines: string[] = []
  readonly #heard = new EventTarget()

  out(line: string): void {
    this.outLines.push(line)
    this.#heard.dispatchEvent(new Event('line'))
  }

  log(line: string): void {
    this.logLines.push(line)
    this.#heard.dispatchEvent(new Event('line'))
  }

  /** Waits until something was said that fits. */
  async until(fits: () => boolean): Promise<void> {
    while (!fits()) await once(this.#heard, 'line')
  }

  pidOf(nodeSlot: number): number {
    return Number(/pid (\d+)/.exec(this.outLines[nodeSlot]!)![1])
  }
}

function start(behaviours: readonly Behaviour[], timers: SimulatedTimers | RealTimers = new RealTimers()) {
  const listener = new Listener()
  let readyCount = 0
  const supervisor = new Supervisor({
    commands: behaviours.map(commandOf),
    voice: listener,
    timers,
    stopTimeoutMs: 30_000,
    prefix: (nodeId) => `node ${nodeId} | `,
    onAllReady: () => {
      readyCount++
    },
  })
  const exitCode = supervisor.run()
  return { supervisor, listener, exitCode, readyCount: () => readyCount }
}

describe('a supervisor', () => {
  test('passes ready lines on, prefixes all others, and stops the nodes one after the other from the last', async () => {
    const { supervisor, listener, exitCode, readyCount } = start(['serve', 'serve', 'serve'])
    await listener.until(() => listener.outLines.length === 3)
    await listener.until(() => listener.logLines.length === 3)
    expect(readyCount()).toBe(1)
    supervisor.stop()
    supervisor.stop()
    expect(await exitCode).toBe(0)
    for (const line of listener.outLines) expect(line).toMatch(/^ready 127\.0\.0\.1:1 node 1 pid \d+ in 1 ms$/)
    expect(listener.logLines.slice(0, 3).sort()).toEqual(['node 1 | more', 'node 2 | more', 'node 3 | more'])
    expect(listener.logLines.slice(3)).toEqual([
      'node 3 | asked to stop',
      'node 2 | asked to stop',
      'node 1 | asked to stop',
    ])
  })

  test('tells of a node that dies and lets the others go on', async () => {
    const { supervisor, listener, exitCode } = start(['serve', 'serve', 'serve'])
    await listener.until(() => listener.outLines.length === 3)
    process.kill(listener.pidOf(0), 'SIGKILL')
    await listener.until(() => listener.logLines.some((line) => line.includes('ended')))
    expect(listener.logLines.at(-1)).toMatch(/^millrace: node \d ended \(SIGKILL\); 2 go on$/)
    supervisor.stop()
    expect(await exitCode).toBe(0)
    expect(listener.logLines.filter((line) => line.endsWith('asked to stop'))).toHaveLength(2)
  })

  test('ends with 1 when the last node has died', async () => {
    const { listener, exitCode } = start(['serve'])
    await listener.until(() => listener.outLines.length === 1)
    process.kill(listener.pidOf(0), 'SIGKILL')
    expect(await exitCode).toBe(1)
    expect(listener.logLines.at(-1)).toBe('millrace: node 1 ended (SIGKILL); none is left')
  })

  test('a node that cannot start ends all, with its exit code and its words', async () => {
    const { listener, exitCode, readyCount } = start(['serve', 'broken'])
    expect(await exitCode).toBe(2)
    expect(readyCount()).toBe(0)
    expect(listener.logLines).toContain('node 2 | no such setting')
    expect(listener.logLines.join('\n')).toContain('millrace: node 2 could not start (exit code 2)')
  })

  test('a program that cannot be run at all is told like one that fails', async () => {
    const listener = new Listener()
    const supervisor = new Supervisor({
      commands: [{ file: join(import.meta.dirname, 'no-such-program'), args: [], environment: {} }],
      voice: listener,
      timers: new RealTimers(),
      stopTimeoutMs: 1000,
      prefix: () => '',
      onAllReady: () => undefined,
    })
    expect(await supervisor.run()).toBe(1)
    expect(listener.logLines.join('\n')).toContain('could not start (it could not be run)')
  })

  test('a node that does not stop in time is killed', async () => {
    const timers = new SimulatedTimers(new SimulatedClock())
    const { supervisor, listener, exitCode } = start(['stubborn'], timers)
    await listener.until(() => listener.outLines.length === 1)
    supervisor.stop()
    await listener.until(() => listener.logLines.includes('node 1 | asked to stop'))
    timers.advance(30_000)
    expect(await exitCode).toBe(1)
    expect(listener.logLines).toContain('millrace: node 1 did not stop within 30 s and is killed')
  })

  test('kill ends nodes that would not stop', async () => {
    const { supervisor, listener, exitCode } = start(['stubborn', 'stubborn'])
    await listener.until(() => listener.outLines.length === 2)
    supervisor.stop()
    supervisor.kill()
    expect(await exitCode).toBe(1)
  })
})
