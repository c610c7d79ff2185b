import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { exitCode, exitInTime, tail } from '../harness/run.ts'
import type { GroupMember, InteropClient, ProduceOptions, ReceivedRecord } from './client.ts'

/** How to start a client program. */
export interface ProgramOptions {
  readonly command: string
  readonly args: readonly string[]
  readonly directory?: string
  readonly environment?: Readonly<Record<string, string>>
}

/** A record on the wire between the test and the program: JSON has no bytes, so they go as base64. */
interface WireRecord {
  key: string | null
  value: string | null
  headers: [string, string][]
  timestampMs: number
  partition?: number
  offset?: number
}

const toText = (bytes: Buffer | null) => (bytes === null ? null : bytes.toString('base64'))
const toBytes = (text: string | null) => (text === null ? null : Buffer.from(text, 'base64'))

function fromWire(record: WireRecord): ReceivedRecord {
  return {
    key: toBytes(record.key),
    value: toBytes(record.value),
    headers: record.headers.map(([name, value]) => [name, Buffer.from(value, 'base64')] as const),
    timestampMs: record.timestampMs,
    partition: record.partition ?? -1,
    offset: record.offset ?? -1,
  }
}

/**
 * A client in another language or process. The program takes the bootstrap address as last argument, reads one JSON request a line
 * (`{ id, op, … }`) and answers one a line (`{ id, result }` or `{ id, error }`). Each group member is a process of its own.
 */
export class ProgramClient implements InteropClient {
  readonly #options: ProgramOptions
  readonly #bootstrap: string
  readonly #program: Program
  /** Programs of the members that have not left. */
  readonly #members = new Set<Program>()

  constructor(options: ProgramOptions, bootstrap: string) {
    this.#options = options
    this.#bootstrap = bootstrap
    this.#program = new Program(options, bootstrap)
  }

  async produce({ records, ...options }: ProduceOptions): Promise<void> {
    const wire = records.map(
      ({ key, value, headers, timestampMs }): WireRecord => ({
        key: toText(key),
        value: toText(value),
        headers: headers.map(([name, bytes]) => [name, bytes.toString('base64')]),
        timestampMs,
      }),
    )
    await this.#program.call('produce', { ...options, records: wire })
  }

  async fetch(options: { topic: string; partition: number; offset: number; count: number }): Promise<ReceivedRecord[]> {
    return ((await this.#program.call('fetch', options)) as WireRecord[]).map(fromWire)
  }

  async offsetForTime(options: { topic: string; partition: number; timestampMs: number }): Promise<number> {
    return (await this.#program.call('offsetForTime', options)) as number
  }

  /** `protocol` of the group, and a `pattern` in place of the topic, for programs that know them. */
  async join(options: {
    group: string
    topic: string
    protocol?: 'classic' | 'consumer'
    pattern?: string
  }): Promise<GroupMember> {
    const program = new Program(this.#options, this.#bootstrap)
    this.#members.add(program)
    await program.call('join', options)
    return {
      partitions: async () => ((await program.call('partitions', {})) as number[]).sort((a, b) => a - b),
      received: async () => ((await program.call('received', {})) as WireRecord[]).map(fromWire),
      leave: async () => {
        await program.call('leave', {})
        await program.close()
        this.#members.delete(program)
      },
    }
  }

  close(): Promise<void> {
    // A test that failed or took too long may have left them; nothing else would end them.
    for (const member of this.#members) member.kill()
    return this.#program.close()
  }
}

class Program {
  readonly #child: ChildProcess
  readonly #exit: Promise<number>
  readonly #pending = new Map<number, { resolve: (result: unknown) => void; reject: (error: Error) => void }>()
  readonly #command: string
  #stderr = ''
  #nextId = 1
  /** Why there will be no more answers; null while the program runs. */
  #ended: string | null = null

  constructor({ command, args, directory, environment }: ProgramOptions, bootstrap: string) {
    this.#command = `${command} ${args.join(' ')}`
    const child = spawn(command, [...args, bootstrap], {
      cwd: directory,
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', ...environment },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.#child = child
    this.#exit = exitCode(child)
    child.stderr.on('data', (chunk: Buffer) => {
      this.#stderr = tail(this.#stderr + chunk.toString())
    })
    // Writing to a program that has just ended fails; the pending call below is told by its exit.
    child.stdin.on('error', () => child.stdin.destroy())
    createInterface({ input: child.stdout }).on('line', (line) => this.#onLine(line))
    this.#exit.then(
      (code) => this.#failAll(`exited with ${code}`),
      (error: Error) => this.#failAll(error.message),
    )
  }

  call(op: string, parameters: object): Promise<unknown> {
    if (this.#ended !== null) return Promise.reject(this.#failure(this.#ended))
    const id = this.#nextId++
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
      this.#child.stdin?.write(`${JSON.stringify({ id, op, ...parameters })}\n`)
    })
  }

  /** Ends the program at once, whatever it does. */
  kill(): void {
    this.#child.kill('SIGKILL')
  }

  /** Ends the program by closing its input. */
  async close(): Promise<void> {
    this.#child.stdin?.end()
    const code = await exitInTime(this.#child, this.#exit)
    if (code !== 0) throw new Error(`${this.#command} ended with ${code}\n${this.#stderr}`)
  }

  #onLine(line: string): void {
    const { id, result, error } = JSON.parse(line)
    const call = this.#pending.get(id)
    if (!call) throw new Error(`${this.#command} answered what nobody asked: ${line}`)
    this.#pending.delete(id)
    if (error === undefined) call.resolve(result)
    else call.reject(new Error(`${this.#command}: ${error}\n${this.#stderr}`))
  }

  #failAll(reason: string): void {
    this.#ended = reason
    for (const { reject } of this.#pending.values()) reject(this.#failure(reason))
    this.#pending.clear()
  }

  #failure(reason: string): Error {
    return new Error(`${this.#command} ${reason}\n${this.#stderr}`)
  }
}
