// Runs what it is asked for with the client it is asked for: one process for a test class, since loading
// the clients costs more than their work. A request is {client, act, url, arguments}; the answer says whether
// it went through, and otherwise what the client shows of the database's error.
import { createServer } from 'node:http';
import { inspect } from 'node:util';

const CLIENTS = ['pg', 'sequelize', 'knex', 'typeorm', 'drizzle', 'prisma', 'node-pg-migrate', 'phone-endpoint'];
const clients = Object.fromEntries(
  await Promise.all(CLIENTS.map(async (name) => [name, (await import(`./${name}.mjs`)).default])));

// Each client wraps pg's error in one of its own; the database's words are inside.
function databaseError(error) {
  const inside = [error.parent, error.original, error.driverError, error.cause, ...(error.errors ?? [])];
  return error.severity && error.code
    ? error
    : inside.filter(Boolean).map(databaseError).find(Boolean);
}

async function answer({ client, act, url, parameters }) {
  try {
    return { outcome: 'done', value: await clients[client][act](url, parameters) };
  } catch (error) {
    const said = databaseError(error);
    return {
      outcome: 'failed',
      sqlState: said?.code,
      message: said?.message,
      detail: said?.detail,
      hint: said?.hint,
      shown: inspect(error), // as Node prints it when nobody catches it
    };
  }
}

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  response.end(JSON.stringify(await answer(JSON.parse(Buffer.concat(chunks).toString()))));
});
server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));
