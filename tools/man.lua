-- For pandoc, which makes the manual page of the pages in docs/, see tools/man: what a terminal
-- cannot show as GitHub does. Links become their text, tables lists, code in a line bold.

local function plain(inlines)
  return pandoc.utils.stringify(inlines)
end

function Link(link)
  local text = plain(link.content)
  -- Where the text is the name of a page, the reader needs its folder, too.
  if text:match('^[%w-]+%.md$') then
    local folder = link.target:match('^%.%./') and '' or 'docs/'
    return pandoc.Strong(folder .. text)
  end
  return link.content
end

function Code(code)
  return pandoc.Strong(code.text)
end

function CodeBlock(block)
  local text = block.text:gsub('\\', '\\e'):gsub('%-', '\\-'):gsub("'", '\\(aq'):gsub('\n%.', '\n\\&.')
  text = text:gsub('`', '\\(ga'):gsub('%^', '\\(ha'):gsub('~', '\\(ti'):gsub('^%.', '\\&.')
  return pandoc.RawBlock('man', '.PP\n.RS 4\n.EX\n' .. text .. '\n.EE\n.RE')
end

-- Pictures are no part of it.
function RawBlock(block)
  if block.format == 'html' then return {} end
end
function RawInline(inline)
  if inline.format == 'html' then return {} end
end

-- Each row: its first cell, and below it the others, the third and later ones with their headings.
function Table(tbl)
  local simple = pandoc.utils.to_simple_table(tbl)
  local items = {}
  for _, row in ipairs(simple.rows) do
    local term = row[1][1] and row[1][1].content or { pandoc.Str('-') }
    local text = {}
    for column = 2, #row do
      local cell, heading = row[column][1], plain(simple.headers[column])
      if cell then
        if #text > 0 then table.insert(text, pandoc.Str('.')) table.insert(text, pandoc.Space()) end
        if #row > 2 and column > 2 and heading ~= '' then
          table.insert(text, pandoc.Emph({ pandoc.Str(heading .. ':') }))
          table.insert(text, pandoc.Space())
        end
        for _, inline in ipairs(cell.content) do table.insert(text, inline) end
      end
    end
    table.insert(items, { term, { { pandoc.Para(text) } } })
  end
  return pandoc.DefinitionList(items)
end

-- A page is a section, and its name in capitals.
function Header(header)
  if header.level == 1 then
    return pandoc.Header(1, { pandoc.Str(plain(header.content):upper()) })
  end
end
