import type { AcceptedTransport, TransportEvents } from '@millrace/broker'
import { expect, it } from 'vitest'
import { ProcessLoop } from '../world/process-loop.ts'
import { World } from '../world/world.ts'
import { listenOver } from './byte-ports.ts'
import { StreamNetwork } from './stream-network.ts'

it('reads no more at first than the buffer holds that was named, and nothing while reading is paused', async () => {
  const world = new World(3)
  const network = new StreamNetwork(world, { meanDelayMs: 2, cutLoss: 0, silenceMs: 100 })
  const [server, client] = [new ProcessLoop(world, 0), new ProcessLoop(world, 1)]
  const pass = (durationMs: number) => {
    const endMs = world.nowMs + durationMs
    while (world.nextMs <= endMs) world.step()
    world.schedule(endMs - world.nowMs, 'end', -1, () => undefined)
    world.step()
  }
  const heard: string[] = []
  let transport: AcceptedTransport | null = null
  let pausing = true
  const events: TransportEvents = {
    onBytes: (buffer, start, end) => {
      heard.push(buffer.toString('latin1', start, end))
      if (pausing) transport!.pauseReading()
    },
    nextReadBuffer: () => null,
    onDrain: () => undefined,
    onEnd: () => undefined,
    onClose: () => undefined,
  }
  const first = Buffer.alloc(2)
  await listenOver(
    network,
    server,
  )({
    host: 'server',
    port: 1,
    backlog: 1,
    firstReadBuffer: () => first,
    onConnection: (accepted) => {
      transport = accepted
      return events
    },
    onError: () => undefined,
  })
  const ignore = () => undefined
  const user = { onOpen: ignore, onData: ignore, onDrain: ignore, onClose: ignore }
  const near = network.connect(client, 'server:1', user)
  near.write(Buffer.from('abcde'))
  near.write(Buffer.from('fg'))
  pass(100)
  expect(heard).toEqual(['ab'])
  pausing = false
  transport!.resumeReading()
  pass(100)
  expect(heard).toEqual(['ab', 'cde', 'fg'])
})
