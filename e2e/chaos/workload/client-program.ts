import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { javaProgram } from '../../harness/java-program.ts'
import { endWithParent } from '../../harness/own-group.ts'
import { places, requirePlace } from '../../harness/places.ts'
import { exitCode, tail } from '../../harness/run.ts'
import {
  type ClientAnswer,
  type ClientRequest,
  deliveryTimeoutMs,
  pollIntervalMs,
  requestTimeoutMs,
  shareWaitMs,
  transactionTimeoutMs,
} from './client-protocol.ts'

export const libraries = ['millrace', 'librdkafka', 'java'] as const
export type Library = (typeof libraries)[number]
/** Those with share consumers. */
export const sharingLibraries: readonly Library[] = ['millrace', 'java']

/** A program that does not answer in this time, and has said nothing of a send in that one, will not. */
const ANSWER_LIMIT_MS = 45_000
const SEND_LIMIT_MS = deliveryTimeoutMs + 15_000

export const NO_ANSWER = 'no answer'

/** A process with clients of one library. */
export class ClientProgram {
  readonly library: Library
  readonly #bootstrap: string
  readonly #pending = new Map<number, (answer: ClientAnswer) => void>()
  #child: ChildProcess | null = null
  #exit: Promise<number> = Promise.resolve(0)
  #nextId = 0
  #stderr = ''
  #isExpectedToEnd = false
  /** How often it ended unasked, and what it said. */
  readonly deaths: string[] = []

  constructor(library: Library, bootstrap: string) {
    this.library = library
    this.#bootstrap = bootstrap
  }

  /** Rises when the program was started anew: all of its clients are gone then. */
  life = 0

  start(): void {
    const [command, ...args] = commandOf(this.library, this.#bootstrap)
    // Each of librdkafka's calls that wait takes one of Node's threads, of which there are four if nobody says otherwise.
    const env = { ...process.env, UV_THREADPOOL_SIZE: '64' }
    const child = spawn(command!, args, { stdio: ['pipe', 'pipe', 'pipe'], detached: true, env })
    endWithParent(child)
    this.#child = child
    this.#isExpectedToEnd = false
    this.life++
    this.#exit = exitCode(child)
    this.#exit.then(
      (code) => this.#onExit(child, code),
      () => this.#onExit(child, -1),
    )
    // One that has ended breaks the pipe; its end tells the story.
    child.stdin.on('error', () => child.stdin.destroy())
    child.stderr.on('data', (chunk: Buffer) => {
      this.#stderr = tail(this.#stderr + chunk.toString())
    })
    createInterface({ input: child.stdout }).on('line', (line) => {
      if (child !== this.#child) return
      const answer = JSON.parse(line) as ClientAnswer
      this.#pending.get(answer.id)?.(answer)
    })
  }

  /** Asks a client. Never rejects: what is not answered, or not in time, is `info`. */
  ask(client: string, request: ClientRequest): Promise<ClientAnswer> {
    const id = this.#nextId++
    const limitMs = request.op === 'send' || request.op === 'txn' ? SEND_LIMIT_MS : ANSWER_LIMIT_MS
    return new Promise((resolve) => {
      const finish = (answer: ClientAnswer) => {
        clearTimeout(timer)
        this.#pending.delete(id)
        resolve(answer)
      }
      const timer = setTimeout(() => finish({ id, type: 'info', error: NO_ANSWER }), limitMs)
      this.#pending.set(id, finish)
      if (this.#child === null) finish({ id, type: 'fail', error: 'the program has ended' })
      else this.#child.stdin?.write(`${JSON.stringify({ id, client, ...request })}\n`)
    })
  }

  /** SIGSTOP: its clients are silent, and what they have on its way goes on once they are told to. */
  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  /** SIGCONT. */
  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  /** SIGKILL, and a new one: a crash of all of its clients. */
  async crash(): Promise<void> {
    await this.end()
    this.start()
  }

  async end(): Promise<void> {
    this.#isExpectedToEnd = true
    this.#child?.kill('SIGKILL')
    await this.#exit
  }

  #onExit(child: ChildProcess, code: number): void {
    if (child !== this.#child) return
    this.#child = null
    for (const [id, finish] of [...this.#pending]) finish({ id, type: 'info', error: 'the program ended' })
    if (this.#isExpectedToEnd) return
    this.deaths.push(`${this.library} ended with ${child.signalCode ?? code}\n${this.#stderr}`)
    this.start()
  }
}

function commandOf(library: Library, bootstrap: string): string[] {
  const programs = join(import.meta.dirname, 'programs')
  const times = JSON.stringify({
    deliveryTimeoutMs,
    requestTimeoutMs,
    transactionTimeoutMs,
    pollIntervalMs,
    shareWaitMs,
  })
  switch (library) {
    case 'millrace':
      return [process.execPath, join(programs, 'millrace-client.ts'), bootstrap]
    case 'librdkafka':
      return [
        requirePlace(places.confluentNode),
        join(programs, 'librdkafka-client.cjs'),
        requirePlace(places.confluent),
        bootstrap,
        times,
      ]
    case 'java': {
      const source = join(programs, 'KafkaChaosClient.java')
      return javaProgram({ source, className: 'KafkaChaosClient', jars: places.jars }, [bootstrap, times])
    }
  }
}
