import { execFileSync } from 'node:child_process'
import { closeSync, fdatasyncSync, fsyncSync, openSync, rmSync, writeSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

/** What the figures depend on besides the code. */
export interface MachineFacts {
  readonly commit: string
  readonly date: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly kernel: string
  readonly fileSystem: string
  /** What no synced acknowledgement can be faster than, at the pace of the latency probe. */
  readonly fdatasyncP50Us: number
  readonly node: string
  readonly java: string
}

export async function machineFacts(root: string, work: string): Promise<MachineFacts> {
  const output = (command: string, ...args: string[]) =>
    execFileSync(command, args, { cwd: root, encoding: 'utf8' }).trim()
  const changed = output('git', 'status', '--porcelain', '--untracked-files=no', '--', 'packages', 'apps') !== ''
  return {
    commit: `${output('git', 'rev-parse', '--short', 'HEAD')}${changed ? ' with changes' : ''}`,
    date: new Date().toISOString().slice(0, 10),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGb: Math.round(totalmem() / 2 ** 30),
    kernel: release(),
    fileSystem: output('findmnt', '-no', 'FSTYPE', '--target', work),
    fdatasyncP50Us: await fdatasyncP50Us(work),
    node: process.version,
    java: output('sh', '-c', 'java -version 2>&1 | head -1'),
  }
}

/** Median µs of writing 200 B over written blocks and syncing them on this thread, one every 2 ms. */
async function fdatasyncP50Us(work: string): Promise<number> {
  const path = join(work, `fdatasync-${process.pid}`)
  const fd = openSync(path, 'w+')
  try {
    writeSync(fd, Buffer.alloc(1 << 20))
    fsyncSync(fd)
    const bytes = Buffer.alloc(200, 1)
    const durations: number[] = []
    for (let slot = 0; slot < 500; slot++) {
      await delay(2)
      const startMs = performance.now()
      writeSync(fd, bytes, 0, bytes.length, slot * bytes.length)
      fdatasyncSync(fd)
      durations.push(performance.now() - startMs)
    }
    durations.sort((a, b) => a - b)
    return Math.round(durations[250]! * 1000)
  } finally {
    closeSync(fd)
    rmSync(path)
  }
}
