// One act of one client, as a command: on the database that the environment names.
const [client, act, parameters] = process.argv.slice(2);
const { default: acts } = await import(`./${client}.mjs`);
await acts[act](process.env.DATABASE_URL, JSON.parse(parameters));
