import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { BenchCase, BenchContext, Figures } from '../bench-case.ts'
import { endProcess, freePortPair, kafkaScript, millraceCommand } from '../broker.ts'
import { metadataFrame, produceError, produceFrame } from '../frames.ts'
import { undisturbed } from '../measure.ts'
import { run } from '../run.ts'
import type { Variant } from '../variant.ts'

/**
 * From the start of the broker's process to the first acknowledged record (acks=all) of a client that tries to connect every
 * millisecond: with an empty data directory, where the topic must be created, and again after a clean stop.
 */
export function startupCase(): BenchCase {
  return {
    group: 'start-up',
    name: 'to the first acknowledged record',
    variants: ['kafka', 'millrace'],
    async prepare(context: BenchContext, variant: Variant) {
      const measure = variant.broker.kind === 'kafka' ? measureKafka : measureMillrace
      return { run: () => undisturbed(() => measure(context)), dispose: async () => undefined }
    },
  }
}

async function measureMillrace({ root, work }: BenchContext): Promise<Figures> {
  const directory = join(work, 'startup-millrace')
  const once = async () => {
    const port = await freePortPair()
    const [command, args] = millraceCommand(root, port, directory)
    const startedMs = performance.now()
    const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] })
    await firstAcknowledged(port)
    const elapsedMs = performance.now() - startedMs
    await endProcess(child)
    return elapsedMs
  }
  const figures = { freshMs: await once(), restartMs: await once() }
  rmSync(directory, { recursive: true, force: true })
  return figures
}

async function measureKafka({ peers, work }: BenchContext): Promise<Figures> {
  const directory = join(work, 'startup-kafka')
  mkdirSync(directory, { recursive: true })
  const port = await freePortPair()
  const start = () =>
    run(kafkaScript(peers, 'start'), [port, directory], { environment: { NO_WAIT_READY: '1' }, timeoutMs: 120_000 })
  const once = async () => {
    const starting = start()
    await firstAcknowledged(port)
    await starting
    // The script formats a fresh directory first, which is not counted: the broker's process tells when it began.
    const elapsedMs = ageMs(Number(readFileSync(join(directory, 'pid'), 'utf8')))
    await run(kafkaScript(peers, 'stop'), [directory])
    return elapsedMs
  }
  const figures = { freshMs: await once(), restartMs: await once() }
  rmSync(directory, { recursive: true, force: true })
  return figures
}

/** Milliseconds since a process began, exact to 10 ms. */
function ageMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const startTicks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  const uptimeSeconds = Number(readFileSync('/proc/uptime', 'utf8').split(' ')[0])
  return uptimeSeconds * 1000 - startTicks * 10
}

async function firstAcknowledged(port: number): Promise<void> {
  const deadlineMs = performance.now() + 60_000
  const socket = await connectAgain(port, deadlineMs)
  await exchange(socket, metadataFrame('first'))
  while (performance.now() < deadlineMs) {
    if (produceError(await exchange(socket, produceFrame('first', -1, 100))) === 0) {
      socket.destroy()
      return
    }
    // The topic is on its way: asking for its metadata has created it.
    await delay(1)
  }
  throw new Error('no record was acknowledged within a minute')
}

async function connectAgain(port: number, deadlineMs: number): Promise<Socket> {
  while (performance.now() < deadlineMs) {
    const socket = await new Promise<Socket | null>((resolve) => {
      const attempt = connect({ port, host: '127.0.0.1', noDelay: true })
      attempt.once('connect', () => resolve(attempt))
      attempt.once('error', () => resolve(null))
    })
    if (socket) return socket
    await delay(1)
  }
  throw new Error('nothing listened within a minute')
}

/** Sends one request and gives its response without the length prefix. */
function exchange(socket: Socket, frame: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let response = Buffer.alloc(0)
    const onData = (chunk: Buffer) => {
      response = Buffer.concat([response, chunk])
      if (response.length < 4 || response.length < 4 + response.readInt32BE(0)) return
      socket.off('data', onData)
      socket.off('close', onClose)
      resolve(response.subarray(4))
    }
    const onClose = () => reject(new Error('the broker closed the connection'))
    socket.on('data', onData)
    socket.once('close', onClose)
    socket.write(frame)
  })
}
