export { type LogLevel, ProcessLogger } from './process-logger.ts'
export { type RunOptions, runBroker } from './run-broker.ts'
