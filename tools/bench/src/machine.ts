import { execFileSync } from 'node:child_process'
import { availableParallelism, cpus, release, totalmem } from 'node:os'

/** What the figures depend on besides the code. */
export interface MachineFacts {
  readonly commit: string
  readonly date: string
  readonly cpu: string
  readonly cores: number
  readonly memoryGb: number
  readonly kernel: string
  readonly fileSystem: string
  readonly node: string
  readonly java: string
}

export function machineFacts(root: string, work: string): MachineFacts {
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
    node: process.version,
    java: output('sh', '-c', 'java -version 2>&1 | head -1'),
  }
}
