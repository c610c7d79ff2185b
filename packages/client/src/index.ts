export * from './errors/client-errors.ts'
export * from './errors/protocol-error.ts'
export * from './errors/retriable.ts'
