import { SimulatedClock, SimulatedTimers, type Uuid } from '@millrace/base'
import {
  type ApiError,
  applyRecords,
  ControllerUnavailableError,
  emptyImage,
  SUPPORTED_FEATURES,
} from '@millrace/consensus'
import { expect, test } from 'vitest'
import { registerItself } from './own-registration.ts'

const THIS_LIFE = 'AAAAAAAAAAAAAAAAAAAAZA' as Uuid
const LAST_LIFE = 'AAAAAAAAAAAAAAAAAAAAZQ' as Uuid

function watch(answer: () => Promise<ApiError | null>) {
  const timers = new SimulatedTimers(new SimulatedClock())
  const lines: string[] = []
  const log = (message: string): void => void lines.push(message)
  let image = emptyImage('cluster')
  let askedCount = 0
  const endpoints = [{ listener: 'CONTROLLER', host: 'h', port: 9093, securityProtocol: 'PLAINTEXT' }] as const
  const registration = registerItself({
    nodeId: 3,
    incarnationId: THIS_LIFE,
    endpoints,
    timers,
    logger: { debug: log, info: log, warn: log, error: log },
    image: () => image,
    register(request) {
      askedCount++
      expect(request).toEqual({
        controllerId: 3,
        incarnationId: THIS_LIFE,
        endpoints,
        features: [...SUPPORTED_FEATURES],
      })
      return answer()
    },
  })
  const commit = (incarnationId: Uuid): void => {
    const record = {
      type: 'RegisterControllerRecord',
      controllerId: 3,
      incarnationId,
      endPoints: [],
      features: {},
    } as const
    image = applyRecords(image, [record]).image
  }
  const pass = async (durationMs: number): Promise<void> => {
    for (let turn = 0; turn < 10; turn++) await Promise.resolve()
    timers.advance(durationMs)
  }
  return { timers, lines, registration, commit, pass, askedCount: () => askedCount }
}

test('asks until the metadata knows this life of it, and then no more', async () => {
  const { timers, commit, pass, askedCount } = watch(async () => null)
  expect(askedCount()).toBe(1)
  commit(LAST_LIFE)
  await pass(2_000)
  expect(askedCount()).toBe(2)
  commit(THIS_LIFE)
  await pass(2_000)
  expect([askedCount(), timers.pendingCount]).toEqual([2, 0])
})

test('asks again where no controller is found, one request at a time, and says what it was refused for', async () => {
  const answers: PromiseWithResolvers<ApiError | null>[] = []
  const { lines, pass, askedCount, registration, timers } = watch(() => {
    answers.push(Promise.withResolvers())
    return answers.at(-1)!.promise
  })
  await pass(10_000)
  expect(askedCount()).toBe(1)
  answers[0]!.reject(new ControllerUnavailableError('nobody', false))
  await pass(2_000)
  expect(askedCount()).toBe(2)
  answers[1]!.resolve({ code: 35, message: 'too low' })
  await pass(2_000)
  expect([askedCount(), lines]).toEqual([3, Array(2).fill('this controller could not be registered')])
  registration.close()
  expect(timers.pendingCount).toBe(0)
})
