import { expect, test } from 'vitest'
import { ProcessLogger } from './process-logger.ts'

function logged(): { logger: ProcessLogger; lines: () => Record<string, unknown>[] } {
  const written: string[] = []
  const logger = new ProcessLogger('info', { write: (line) => written.push(line), flush: () => undefined })
  return { logger, lines: () => written.map((line) => JSON.parse(line)) }
}

test('lines have one shape, whether they waited for the logger, came after it or were written without it', async () => {
  const early = logged()
  const startMs = Date.now()
  early.logger.info('early', { topic: 't' })
  const endMs = Date.now()
  expect(early.lines()).toEqual([])
  await early.logger.load()
  early.logger.warn('late')
  const without = logged()
  without.logger.error('last words', { topic: 't' })
  without.logger.flushNow()
  const lines = [...early.lines(), ...without.lines()]
  expect(lines).toMatchObject([
    { level: 'info', topic: 't', msg: 'early' },
    { level: 'warn', msg: 'late' },
    { level: 'error', topic: 't', msg: 'last words' },
  ])
  expect(lines[0]!.time).toBeGreaterThanOrEqual(startMs)
  expect(lines[0]!.time).toBeLessThanOrEqual(endMs)
  for (const { time } of lines) expect(typeof time).toBe('number')
})

test('numbers beyond JSON do not keep the last words from being written', () => {
  const { logger, lines } = logged()
  logger.error('last words', { offset: 7n })
  logger.flushNow()
  expect(lines()).toMatchObject([{ offset: 7, msg: 'last words' }])
})

test('lines below the level are dropped, before the logger is there and after', async () => {
  const { logger, lines } = logged()
  logger.debug('no')
  await logger.load()
  logger.debug('no')
  logger.setLevel('root', 'DEBUG')
  logger.debug('yes')
  expect(lines().map(({ msg }) => msg)).toEqual(['yes'])
})

test('loading again, while it loads or after, writes nothing twice', async () => {
  const { logger, lines } = logged()
  logger.info('early')
  await Promise.all([logger.load(), logger.load()])
  await logger.load()
  logger.info('late')
  expect(lines().map(({ msg }) => msg)).toEqual(['early', 'late'])
})
