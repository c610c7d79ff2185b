import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { javaCommand } from './java-tools.ts'
import { exitCode, exitInTime } from './run.ts'

/** Kafka's verifiable consumer, which tells what happens to it. */
export class VerifiableConsumer {
  readonly partitions = new Set<number>()
  recordCount = 0
  readonly #child: ChildProcess
  readonly #exit: Promise<number>

  constructor(bootstrap: string, topic: string, group: string, protocol: 'classic' | 'consumer' = 'classic') {
    // With the consumer protocol the broker says how long sessions are.
    const ofProtocol = protocol === 'classic' ? ['--session-timeout', '10000'] : ['--group-protocol', 'consumer']
    const [command, args] = javaCommand('verifiable-consumer', [
      ...['--bootstrap-server', bootstrap, '--topic', topic, '--group-id', group, '--reset-policy', 'earliest'],
      ...ofProtocol,
    ])
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#child = child
    this.#exit = exitCode(child)
    createInterface({ input: child.stdout }).on('line', (line) => this.#onEvent(JSON.parse(line)))
  }

  #onEvent(event: { name: string; count?: number; partitions?: { partition: number }[] }): void {
    if (event.name === 'records_consumed') this.recordCount += event.count ?? 0
    for (const { partition } of event.partitions ?? []) {
      if (event.name === 'partitions_assigned') this.partitions.add(partition)
      if (event.name === 'partitions_revoked') this.partitions.delete(partition)
    }
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    await exitInTime(this.#child, this.#exit)
  }
}
